"""`apply`, `get`, `delete`: documents to a gateway and back."""

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gatewright.cli import kinds, options, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, User
from gatewright.cli.output import Format

Names = Annotated[
    list[str] | None,
    typer.Option(
        "--filename",
        "-f",
        metavar="FILE|DIR|-",
        show_default=False,
        help="File, folder with YAML and JSON files, or - for standard input. May be given several times.",
    ),
]
_STATES = {"served": "serving", "refused": "quarantined", "stored": "no router", "timeout": "no answer", "unknown": "-"}


def apply(
    filenames: Names = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until routers serve it.")] = True,
    timeout: options.Timeout = 30.0,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Create or replace artifacts from documents, and wait until they are served.

    Every document is tried, also after one fails; the exit code is that of the first failure.

    Examples:

        gatewright apply -f petstore.yaml
        gatewright apply -f apis/ --timeout 60
        kubectl get restapi petstore -o yaml | gatewright apply -f -
    """
    from gatewright.cli import documents

    if not filenames:
        raise Failure(
            "nothing to apply", code=Exit.USAGE, remedy="name a file with -f, as in: gatewright apply -f api.yaml"
        )
    found = sorted(documents.read(filenames), key=lambda document: kinds.rank(document.kind))
    for document in found:
        kinds.of_document(document.kind, document.source)
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        done = [_apply_one(client, document, timeout if wait else None) for document in found]
    rows = [row for row, _ in done]
    output.show(rows, form, lambda: _applied_table(rows))
    _end_with([failure for _, failure in done if failure is not None])


def _apply_one(client: Any, document: Any, timeout: float | None) -> tuple[dict[str, Any], Failure | None]:  # noqa: ANN401 - imported late
    from gatewright.cli import serving
    from gatewright.cli.client import YAML, refused, segment

    kind = kinds.of_document(document.kind, document.source)
    path = f"/{kind.collection}/{segment(document.name)}"
    row = {"kind": kind.kind, "name": document.name, "source": document.source, "action": "failed"}
    started = time.monotonic()
    existing = client.management("GET", path)
    if existing.status not in {200, 404}:
        return row, refused(existing, f"{document.source}: {document.name} cannot be looked up")
    method, target, action = ("PUT", path, "updated") if existing.ok else ("POST", f"/{kind.collection}", "created")
    written = client.management(method, target, body=document.text, kind=YAML)
    if not written.ok:
        return row, refused(
            written,
            f"{document.source}: the gateway refused {document.name}",
            remedy="correct the document; nothing was changed",
        )
    row["action"] = action
    if timeout is None:
        return row, None
    outcome = serving.wait(client, written, timeout)
    row |= {"serving": outcome.state, "routers": outcome.routers, "seconds": round(time.monotonic() - started, 3)}
    if outcome.reason:
        row["reason"] = outcome.reason
    return row, outcome.failure(document.name)


def _applied_table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        (
            f"{row['kind'].lower()}/{row['name']}",
            row["action"],
            "no traffic yet" if _is_idle(row) else _STATES.get(row.get("serving", ""), ""),
            f"{row['seconds'] * 1000:.0f} ms" if "seconds" in row else "",
        )
        for row in rows
    ]
    return output.grid(("Resource", "Action", "Data plane", "Took"), cells)


def _is_idle(row: dict[str, Any]) -> bool:
    """A kind that is stored, but that this release does not serve."""
    return row.get("serving") == "stored" and bool(row.get("reason"))


def get(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help=kinds.NAMES,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="One API. For api-keys: the API that they belong to.", show_default=False),
    ] = None,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Show what a gateway has stored.

    Examples:

        gatewright get rest-apis
        gatewright get rest-api petstore-v1.0 -o yaml > petstore.yaml
        gatewright get api-keys petstore-v1.0
    """
    from gatewright.cli import key_commands
    from gatewright.cli.client import refused, segment

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        if kind.lower() in kinds.API_KEYS:
            if name is None:
                raise Failure(
                    "whose keys?", code=Exit.USAGE, remedy="name an API: gatewright get api-keys petstore-v1.0"
                )
            key_commands.show_keys(client, name, form)
            return
        known = kinds.of_name(kind)
        answer = client.management("GET", f"/{known.collection}" + (f"/{segment(name)}" if name else ""))
    if not answer.ok:
        raise refused(answer, f"{kind} {name or ''}".strip(), remedy="'gatewright get rest-apis' lists what there is")
    if name:
        output.show(answer.body, form, lambda: _one_table(answer.body))
    else:
        listed = answer.body.get(known.listed) or []
        output.show(listed, form, lambda: _list_table(listed, known.plural))


def _list_table(listed: list[dict[str, Any]], what: str) -> list[str]:
    rows = [
        (
            item.get("metadata", {}).get("name"),
            item.get("spec", {}).get("displayName"),
            item.get("spec", {}).get("version"),
            item.get("spec", {}).get("context"),
            item.get("status", {}).get("state"),
        )
        for item in listed
    ]
    return output.grid(("Name", "Display name", "Version", "Context", "State"), rows, empty=f"no {what}")


def _one_table(item: dict[str, Any]) -> Iterator[str]:
    spec, status = item.get("spec", {}), item.get("status", {})
    upstream = spec.get("upstream") or {}
    upstream = upstream.get("main") or upstream
    yield from output.facts(
        (
            ("Name", item.get("metadata", {}).get("name")),
            ("Display name", spec.get("displayName")),
            ("Version", spec.get("version")),
            ("Context", spec.get("context")),
            ("Upstream", upstream.get("url") or upstream.get("ref")),
            ("State", status.get("state")),
            ("Created", status.get("createdAt")),
            ("Updated", status.get("updatedAt")),
            ("Policies", ", ".join(str(policy.get("name")) for policy in spec.get("policies") or [])),
        )
    )
    if spec.get("operations"):
        yield ""
        yield from output.grid(("Method", "Path"), [_operation(each) for each in spec["operations"]])


def _operation(operation: dict[str, Any]) -> tuple[str, str]:
    match = operation.get("match") or {}
    path = operation.get("path") or (match.get("path") or {}).get("value") or ""
    return str(operation.get("method") or match.get("method") or ""), str(path)


def delete(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="rest-api.", show_default=False)] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name.", show_default=False)] = None,
    filenames: Names = None,
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Delete APIs, with their keys, by name or by the documents they were applied from.

    Examples:

        gatewright delete rest-api petstore-v1.0
        gatewright delete -f apis/
    """
    from gatewright.cli import documents
    from gatewright.cli.client import refused, segment

    if filenames and not kind:
        found = sorted(documents.read(filenames), key=lambda document: kinds.rank(document.kind), reverse=True)
        targets = [(kinds.of_document(each.kind, each.source), each.name) for each in found]
    elif kind and name and not filenames:
        targets = [(kinds.of_name(kind), name)]
    else:
        raise Failure(
            "say what to delete: a kind and a name, or documents with -f",
            code=Exit.USAGE,
            remedy="for example: gatewright delete rest-api petstore-v1.0",
        )
    rows, failures = [], []
    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        for target, handle in targets:
            answer = client.management("DELETE", f"/{target.collection}/{segment(handle)}")
            rows.append({"kind": target.kind, "name": handle, "action": "deleted" if answer.ok else "failed"})
            if not answer.ok:
                failures.append(refused(answer, f"{handle} was not deleted"))
    output.show(rows, form, lambda: [f"{row['kind'].lower()}/{row['name']} {row['action']}" for row in rows])
    _end_with(failures)


def _end_with(failures: list[Failure]) -> None:
    """Tell all failures; leave with the code of the first."""
    for failure in failures[1:]:
        output.complain(failure)
    if failures:
        raise failures[0]
