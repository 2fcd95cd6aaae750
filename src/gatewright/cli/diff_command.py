"""`diff`: what the control plane wants, what the gateway has stored, what its routers run."""

import json
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Annotated, Any, Final

import typer

from gatewright.cli import options, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, Timeout, User
from gatewright.cli.output import NARROW, Format

SAME: Final = 0
DIFFERENT: Final = 2
UNDECIDED: Final = 1

_TIMEOUT_S: Final = 110.0
_PLACES: Final = {"store": "stored", "routers": "routers", "control_plane": "control plane"}
_MISSING: Final = "(not there)"


def diff(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these artifacts: handles or ids.", show_default=False),
    ] = None,
    control_plane: Annotated[
        bool, typer.Option("--control-plane", help="Compare with the control plane; there is nothing else yet.")
    ] = False,
    timeout: Timeout = _TIMEOUT_S,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Compare what the control plane wants with what is stored and what routers run, field by field.

    Exit codes: 0 the same, 2 different, 1 it could not be found out.

    Examples:

        gatewright diff --control-plane
        gatewright diff --control-plane orders-v1.0 -o json
    """
    if not control_plane:
        raise Failure("it is not said with what to compare", remedy="gatewright diff --control-plane")
    try:
        body = _asked(names or [], timeout, (server, admin_server, data_dir, user, password_file, ca_file))
    except Failure as failure:
        # Whatever the reason: 2 must mean nothing but a difference.
        raise Failure(failure.what, code=Exit.FAILED, where=failure.where, remedy=failure.remedy) from failure
    output.show(body, form, lambda: _page(body))
    for text in (*_each(body, "problems"), *(f"there is no artifact {name}" for name in _each(body, "unknown"))):
        output.note(f"error: {text}")
    if _each(body, "problems") or _each(body, "unknown"):
        raise typer.Exit(UNDECIDED)
    raise typer.Exit(DIFFERENT if body.get("different") else SAME)


def _asked(names: list[str], timeout: float, where: tuple[Any, ...]) -> Mapping[str, Any]:
    from gatewright.cli.client import refused, segment

    query = f"?names={segment(','.join(names))}" if names else ""
    with options.client(*where, answer_timeout_s=timeout) as client:
        answer = client.admin("GET", f"/drift{query}")
    if not answer.ok or not isinstance(answer.body, dict):
        raise refused(answer, "not compared", remedy="'gatewright doctor' finds what is wrong with the connection")
    return answer.body


def _page(body: Mapping[str, Any]) -> Iterator[str]:
    for artifact in _each(body, "artifacts"):
        yield output.safe(f"{artifact.get('handle') or artifact.get('id')} ({artifact.get('kind')})")
        for difference in artifact.get("differences") or []:
            yield from (output.safe(text) for text in _difference(difference))
        if artifact.get("more"):
            yield f"  … and {artifact['more']} more differences"
        yield ""
    if body.get("more"):
        yield f"… and {body['more']} more artifacts that differ"
    yield from (f"note: {output.safe(note)}" for note in _each(body, "notes"))
    yield _summary(body)


def _difference(difference: Mapping[str, Any]) -> Iterator[str]:
    place = _PLACES.get(str(difference.get("place")), "")
    about = difference.get("field") or difference.get("router") or ""
    yield f"  {place}: {about}".rstrip(": ") if difference.get("field") else f"  {place}{f' {about}' if about else ''}:"
    if not difference.get("field") or difference.get("message") != "the field differs":
        yield from (f"    {text}" for text in wrap(str(difference.get("message", "")), NARROW - 4))
    if "wanted" in difference or "found" in difference:
        yield from _value("wanted", difference.get("wanted", _MISSING))
        yield from _value("found", difference.get("found", _MISSING))


def _value(name: str, value: object) -> Iterator[str]:
    text = _MISSING if value is _MISSING else json.dumps(value, ensure_ascii=False)
    first, *rest = wrap(text, NARROW - 12) or [""]
    yield f"    {name:<6}  {first}"
    yield from (f"            {line}" for line in rest)


def _summary(body: Mapping[str, Any]) -> str:
    compared, different = int(body.get("compared") or 0), int(body.get("different") or 0)
    if not different:
        return f"{compared} compared, all the same" if compared else "nothing to compare"
    return f"{compared} compared, {different} different"


def _each(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    return value if isinstance(value, list) else []
