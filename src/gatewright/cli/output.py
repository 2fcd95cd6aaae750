"""What commands print: tables for people, JSON and YAML for programs; results on stdout, everything else on stderr.

Texts of other systems are made safe first: a terminal must not obey what an API document contains.
"""

import enum
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gatewright.cli.exits import Failure

NARROW = 80
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Format(enum.StrEnum):
    """Forms of output."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def safe(text: object) -> str:
    """`text` without anything that a terminal would obey, except line ends and tabs."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", str(text))


def show(data: Any, form: Format, table: Callable[[], Iterable[str]]) -> None:  # noqa: ANN401 - anything JSON can hold
    """Print `data` as JSON or YAML, or the lines of `table`."""
    if form is Format.JSON:
        line(json.dumps(data, indent=2, ensure_ascii=False))
    elif form is Format.YAML:
        import yaml

        line(yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120).rstrip("\n"))
    else:
        for text in table():
            line(text)


def line(text: str = "") -> None:
    """One line of result."""
    sys.stdout.write(f"{text}\n")


def note(text: str) -> None:
    """One line beside the result: progress, a warning, a hint."""
    sys.stderr.write(f"{safe(text)}\n")
    sys.stderr.flush()


def complain(failure: Failure) -> None:
    """Tell why the command failed."""
    for text in failure.lines():
        note(text)


def grid(head: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> list[str]:
    """A table as lines, fitted to the terminal (80 columns when there is none); long cells wrap, nothing is cut off.

    `empty` stands for a table without rows.
    """
    body = [[safe(cell) if cell not in (None, "") else "-" for cell in row] for row in rows]
    if not body:
        return [empty or "none"]
    return _drawn(_wrapped(head, body))


def _drawn(table: Any) -> list[str]:  # noqa: ANN401 - a Rich table, imported late
    from rich.console import Console

    width = Console().width if sys.stdout.isatty() else NARROW
    console = Console(width=width, color_system=None, force_terminal=False, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    return [text.rstrip() for text in captured.get().rstrip("\n").split("\n")]


def _wrapped(head: Sequence[str], body: Sequence[Sequence[str]]) -> Any:  # noqa: ANN401 - as above
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for name in head:
        table.add_column(Text(name.upper()), overflow="fold")
    for row in body:
        table.add_row(*(Text(cell) for cell in row))
    return table


def facts(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """Names and values below each other, values aligned; empty values are left out."""
    kept = [(name, safe(value)) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in kept), default=0)
    return [f"{name + ':':<{width + 1}}  {value}" for name, value in kept]
