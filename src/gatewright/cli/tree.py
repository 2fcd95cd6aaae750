"""Groups of commands that build a command only when it is run.

The parser prepares every option of every command that it knows, which takes longer than most commands run. Here a
group knows names and one line of help; the module of a command is imported, and its options prepared, on its way.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

HELP_OPTIONS = ["-h", "--help"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, `module:function`, its line of help (the first of the docstring), its heading."""

    name: str
    target: str
    help: str
    panel: str = "Commands"


class Group(TyperGroup):
    """A group over entries and further groups."""

    def __init__(
        self,
        name: str,
        entries: Iterable["Entry | Group"],
        *,
        help: str,  # noqa: A002 - the parser's own word
        panel: str = "Commands",
        epilog: str | None = None,
    ) -> None:
        listed = tuple(entries)
        self.entries = {entry.name: entry for entry in listed if isinstance(entry, Entry)}
        super().__init__(
            name=name,
            commands={str(entry.name): _stub(entry) for entry in listed},
            help=help,
            epilog=epilog,
            rich_help_panel=panel,
            rich_markup_mode="rich",
            no_args_is_help=True,
            context_settings={"help_option_names": HELP_OPTIONS},
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:  # noqa: ANN401 - the parser's own types
        """As the base class; the stub gives way to the real command."""
        name, command, rest = super().resolve_command(ctx, args)
        entry = self.entries.get(name or "")
        return name, (built(entry) if entry is not None else command), rest


def built(entry: Entry) -> TyperCommand:
    """The command with its options."""
    module, _, function = entry.target.partition(":")
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(entry.name)(getattr(import_module(module), function))
    command = get_command(app)
    if not isinstance(command, TyperCommand):
        raise TypeError(f"{entry.target} is no command")
    return command


def _stub(entry: "Entry | Group") -> "TyperCommand | Group":
    if isinstance(entry, Group):
        return entry
    return TyperCommand(name=entry.name, help=entry.help, rich_help_panel=entry.panel)
