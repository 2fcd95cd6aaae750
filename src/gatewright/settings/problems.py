"""What can be wrong with a configuration, as values. Pure.

Problem         one finding: code, key, source, message, remedy
SettingsError   all findings of one load
"""

from collections.abc import Iterable
from dataclasses import dataclass

NO_FILE = "config.file"
SYNTAX = "config.syntax"
INTERPOLATION = "config.interpolation"
TYPE = "config.type"
VALUE = "config.value"

_MAX_LISTED = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason why a configuration cannot be used."""

    code: str
    """One of the constants of this module."""
    key: str
    """Dotted path of the key; empty when the whole file is meant."""
    source: str
    """Where the value comes from: a file, an environment variable, "default"."""
    message: str
    """What is wrong; carries the original's text for the same mistake."""
    remedy: str
    """What to do about it."""

    def __str__(self) -> str:
        origin = ": ".join(part for part in (self.source, self.key) if part)
        text = f"{origin}: {self.message}" if origin else self.message
        return f"{text}. {self.remedy}" if self.remedy else text


class SettingsError(ValueError):
    """A configuration that cannot be used, with every reason at once."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[str] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        self.warnings: tuple[str, ...] = tuple(warnings)
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [f"invalid configuration: {problem}" for problem in self.problems[:_MAX_LISTED]]
        if len(self.problems) > _MAX_LISTED:
            lines.append(f"… and {len(self.problems) - _MAX_LISTED} more")
        return "\n".join(lines)
