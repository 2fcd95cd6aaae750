"""`apim plan`: what a sync to API Manager would do about each API, and why, without doing it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from gatewright.cli import options, output
from gatewright.cli.exits import Exit
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, Timeout, User
from gatewright.cli.output import Format

CONFLICT: Final = 2
UNDECIDED: Final = 1
_TIMEOUT_S: Final = 110.0
_WORDS: Final = {
    "create": "create it there",
    "update": "update it there",
    "adopt": "note what is there already",
    "undeploy": "undeploy it there",
    "none": "nothing",
    "stop": "STOP",
    "take-theirs": "take theirs",
    "overwrite": "OVERWRITE",
    "fail": "FAIL",
    "unknown": "unknown",
}
_SETTLED: Final = frozenset({"stop", "fail"})


def plan(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these APIs: handles, ids or display names.", show_default=False),
    ] = None,
    timeout: Timeout = _TIMEOUT_S,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Show what a sync to API Manager would do about each API, and why. Changes nothing.

    Exit codes: 0 every API is in step or can be synced, 2 some stop at a conflict or cannot be sent, 1 it could not be
    found out.

    Examples:

        gatewright apim plan
        gatewright apim plan orders-v1.0 -o json
    """
    from gatewright.cli.client import refused, segment

    query = f"?names={segment(','.join(names))}" if names else ""
    with options.client(
        server, admin_server, data_dir, user, password_file, ca_file, answer_timeout_s=timeout
    ) as client:
        answer = client.admin("GET", f"/apim/plan{query}")
    if not answer.ok or not isinstance(answer.body, dict):
        raise refused(answer, "there is no plan", remedy="'gatewright status' shows the link to the control plane")
    body = answer.body
    output.show(body, form, lambda: _page(body))
    for name in body.get("unknown") or []:
        output.note(f"error: there is no API {name} that was made here")
    actions = {entry.get("action") for entry in body.get("apis") or []}
    if body.get("unknown") or "unknown" in actions:
        raise typer.Exit(UNDECIDED)
    raise typer.Exit(CONFLICT if actions & _SETTLED else Exit.OK)


def _page(body: Mapping[str, Any]) -> Iterator[str]:
    entries = body.get("apis") or []
    yield from output.grid(
        ("Name", "Version", "Here", "A sync would", "Why"),
        [
            (
                entry.get("displayName"),
                entry.get("version"),
                entry.get("state"),
                _WORDS.get(str(entry.get("action")), entry.get("action")),
                entry.get("reason"),
            )
            for entry in entries
        ],
        empty="no API was made here",
    )
    if entries:
        yield ""
        yield output.safe(f"Conflicts: {body.get('rule')} (gatewright.controlplane.apim_conflicts)")
