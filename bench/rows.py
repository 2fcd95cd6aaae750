"""What a run has found: one row per figure, as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Row(msgspec.Struct, frozen=True):
    """One figure. `target` is a comparison such as `>= 0.95`; without one, the figure explains others and is ok."""

    name: str
    value: float
    unit: str
    target: str | None
    ok: bool


def row(
    name: str,
    value: float,
    unit: str,
    *,
    least: float | None = None,
    most: float | None = None,
    digits: int = 3,
) -> Row:
    """A figure that should be at least `least` or at most `most`."""
    value = round(value, digits)
    if least is not None:
        return Row(name, value, unit, f">= {least:g}", value >= least)
    if most is not None:
        return Row(name, value, unit, f"<= {most:g}", value <= most)
    return Row(name, value, unit, None, ok=True)


def table(rows: Iterable[Row]) -> Table:
    """For the terminal."""
    drawn = Table(title="Gatewright benchmark")
    drawn.add_column("what")
    drawn.add_column("value", justify="right")
    drawn.add_column("unit")
    drawn.add_column("target")
    drawn.add_column("")
    for one in rows:
        drawn.add_row(one.name, f"{one.value:,g}", one.unit, one.target or "", _mark(one))
    return drawn


def markdown(rows: Iterable[Row]) -> str:
    """The table of the documentation."""
    lines = ["| Row | Value | Unit | Target | Met |", "|---|---|---|---|---|"]
    for one in rows:
        met = "" if one.target is None else "yes" if one.ok else "**no**"
        lines.append(f"| {one.name} | {one.value:.10g} | {one.unit} | {one.target or ''} | {met} |")
    return "\n".join(lines)


def read(path: Path) -> list[Row]:
    """What an earlier run has written. Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode(path.read_bytes(), type=list[Row])


def _mark(one: Row) -> str:
    if one.target is None:
        return ""
    return "[green]ok[/green]" if one.ok else "[red]missed[/red]"


def write(rows: Iterable[Row], path: Path) -> None:
    """A JSON list, written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([msgspec.to_builtins(one) for one in rows], indent=1, ensure_ascii=False)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


class Report:
    """Collects rows and says what is going on."""

    def __init__(self, console: Console) -> None:
        self.rows: list[Row] = []
        self._console = console

    def add(self, *rows: Row) -> None:
        """Figures, shown at once: a run takes minutes."""
        for one in rows:
            self.rows.append(one)
            target: str = f"  ({one.target}: {_mark(one)})" if one.target else ""
            self._console.print(f"  {one.name}: [bold]{one.value:,g}[/bold] {one.unit}{target}", highlight=False)

    def say(self, text: str) -> None:
        """What is being done."""
        self._console.print(text, highlight=False)
