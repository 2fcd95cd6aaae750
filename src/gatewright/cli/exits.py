"""Exit codes of the program and the failure that carries one. docs/command-line.md lists them. Pure."""

import enum
from collections.abc import Sequence


class Exit(enum.IntEnum):
    """What a script can rely on. 2 is also what the command-line parser uses."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORISED = 4
    TIMED_OUT = 5
    NOT_FOUND = 6
    INTERRUPTED = 130


class Failure(Exception):
    """Why a command ends without what was asked for: what happened, where, what to do."""

    def __init__(
        self, what: str, *, code: Exit = Exit.FAILED, where: str | Sequence[str] = (), remedy: str = ""
    ) -> None:
        self.what = what
        self.code = code
        self.where: tuple[str, ...] = (where,) if isinstance(where, str) else tuple(where)
        self.remedy = remedy
        super().__init__(what)

    def lines(self) -> list[str]:
        """The text for people, one line per list item, without a trailing newline."""
        return [
            f"error: {self.what}",
            *(f"  {line}" for line in self.where if line),
            *([f"  What to do: {self.remedy}"] if self.remedy else []),
        ]
