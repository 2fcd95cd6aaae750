"""`status` and `sync`: what a gateway is doing, and reconciling it with its control plane now."""

from collections.abc import Iterator, Mapping
from typing import Any

from gatewright.cli import options, output
from gatewright.cli.apim_status import apim_lines, section
from gatewright.cli.options import AdminServer, CaFile, DataDir, Output, PasswordFile, Server, User
from gatewright.cli.output import Format
from gatewright.cli.phrases import ago, counts, duration

_SOON_DAYS = 30
_UNDER_WAY = (("events", "waiting"), ("acknowledgements", "acksOwed"), ("pushes", "pushesPending"))


def status(
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Show the controller, its routers, the link to the control plane, and every API as the data plane sees it.

    Examples:

        gatewright status
        gatewright status -o json | jq '.artifacts[] | select(.serving.state == "quarantined")'
    """
    from gatewright.cli.client import refused

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.admin("GET", "/status")
    if not answer.ok or not isinstance(answer.body, dict):
        raise refused(answer, "the gateway does not tell its status")
    output.show(answer.body, form, lambda: _page(answer.body))


def sync(
    form: Output = Format.TABLE,
    server: Server = None,
    admin_server: AdminServer = None,
    data_dir: DataDir = None,
    user: User = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
) -> None:
    """Reconcile a gateway with its control plane now, and show what that changed."""
    from gatewright.cli.client import refused

    with options.client(server, admin_server, data_dir, user, password_file, ca_file) as client:
        answer = client.admin("POST", "/sync")
    if not answer.ok or not isinstance(answer.body, dict):
        raise refused(answer, "not reconciled", remedy="'gatewright status' shows the link to the control plane")
    output.show(answer.body, form, lambda: [f"reconciled: {counts(answer.body) or 'nothing to change'}"])


def _page(body: Mapping[str, Any]) -> Iterator[str]:
    yield from _controller(body.get("controller") or {}, body.get("database") or {})
    yield ""
    others = [item for item in body.get("controllers") or [] if isinstance(item, Mapping)]
    if len(others) > 1:
        yield "CONTROLLERS ON THIS DATABASE"
        yield from _indented(_controllers(others))
        yield ""
    yield from _control_plane(body.get("controlPlane") or {})
    yield ""
    if body.get("apiManager", {}).get("mode") in {"on_prem", "cloud"}:
        yield "API MANAGER"
        yield from _indented(list(section(body["apiManager"])))
        yield ""
    yield "ROUTERS"
    yield from _indented(_routers(body.get("routers") or []))
    yield ""
    yield "APIS"
    yield from _indented(_artifacts(body.get("artifacts") or []))


def _controllers(controllers: list[Mapping[str, Any]]) -> list[str]:
    return output.grid(
        ("Controller", "Routers", "Holds the connection to the control plane"),
        [
            (
                f"{item.get('name')} (asked)" if item.get("here") else item.get("name"),
                len(item.get("routers") or []),
                "yes" if item.get("holdsControlPlane") else "no",
            )
            for item in controllers
        ],
        empty="none",
    )


def _controller(controller: Mapping[str, Any], database: Mapping[str, Any]) -> Iterator[str]:
    ready = "ready" if controller.get("ready") else f"not ready ({controller.get('reason')})"
    yield "CONTROLLER"
    yield from _indented(
        output.facts(
            (
                ("State", ready),
                ("Version", controller.get("version")),
                ("Gateway", controller.get("gatewayId")),
                ("Up for", duration(controller.get("uptimeSeconds"))),
                ("Database", "" if database.get("available", True) else f"AWAY: {database.get('reason')}"),
                ("What to do", "" if database.get("available", True) else database.get("advice")),
            )
        )
    )


def _control_plane(link: Mapping[str, Any]) -> Iterator[str]:
    yield "CONTROL PLANE"
    error, reconcile = link.get("lastError"), link.get("lastReconcile")
    state = str(link.get("state") or "none")
    since = link.get("since")
    yield from _indented(
        output.facts(
            (
                ("State", f"{state}, since {ago(since)}" if since else state),
                ("Address", link.get("host") or link.get("url")),
                ("Gateway id", link.get("gatewayId")),
                *_error_facts(error),
                *((("What to do", link.get("advice")),) if not error else ()),
                ("Verified", "NO, anybody on the way can read the token" if link.get("verified") is False else ""),
                ("Certificate", _certificate(link)),
                ("Last reconcile", _reconcile(reconcile)),
                ("Held back", _held_back(link.get("deletionsWithheld"))),
                ("Under way", counts({name: link.get(key) for name, key in _UNDER_WAY})),
            )
        )
    )


def _certificate(link: Mapping[str, Any]) -> str:
    days, end = link.get("certificateDaysLeft"), str(link.get("certificateExpiresAt") or "")[:10]
    if not isinstance(days, int) or not end:
        return ""
    if days < 0:
        return f"ENDED on {end}: renew it at the control plane"
    return f"ends in {days} days, on {end}" + (": renew it at the control plane" if days <= _SOON_DAYS else "")


def _held_back(deletions: object) -> str:
    return f"{deletions} deletions, until a second answer says the same" if deletions else ""


def _error_facts(error: object) -> Iterator[tuple[str, object]]:
    if isinstance(error, Mapping):
        yield "Last error", f"{error.get('message') or error.get('code')} ({ago(error.get('at'))})"
        yield "What to do", error.get("advice")


def _reconcile(reconcile: object) -> str:
    if not isinstance(reconcile, Mapping):
        return ""
    what = counts(reconcile) or "nothing to change"
    failed = f"; failed: {reconcile['error']}" if reconcile.get("error") else ""
    return f"{ago(reconcile.get('at'))}: {what}{failed}"


def _routers(routers: list[Mapping[str, Any]]) -> list[str]:
    lines = output.grid(
        ("Router", "Connected", "Envoy", "Accepted", "Pending", "Refused"),
        [
            (
                router.get("node") or router.get("id"),
                ago(router.get("connectedSince")),
                _envoy(router),
                router.get("accepted", 0),
                router.get("pending", 0),
                len(router.get("refused") or []),
            )
            for router in routers
        ],
        empty="none connected: nothing is served. Start one with 'gatewright router'",
    )
    for router in routers:
        for refused in (router.get("refused") or [])[:5]:
            lines.append(f"  refused {output.safe(refused.get('resource'))}: {output.safe(refused.get('reason'))}")
    return lines


def _envoy(router: Mapping[str, Any]) -> str:
    return "connected" if router.get("envoyConnected") or not router.get("relay") else "away"


def _artifacts(artifacts: list[Mapping[str, Any]]) -> list[str]:
    lines = output.grid(
        ("Name", "Version", "Wanted", "Data plane", "From", "Sync"),
        [
            (
                item.get("handle"),
                item.get("version"),
                item.get("desiredState"),
                (item.get("serving") or {}).get("state"),
                "control plane" if item.get("origin") == "control_plane" else "here",
                _synced(item),
            )
            for item in artifacts
        ],
        empty="none",
    )
    for item in artifacts:
        serving = item.get("serving") or {}
        reason = serving.get("reason")
        if reason:
            kept = "its last good version serves" if serving.get("serving_version") else "it serves nothing"
            lines.append(f"  {output.safe(item.get('handle'))}: {output.safe(reason)} ({kept})")
        if item.get("apiManager"):
            lines += [f"  {output.safe(text)}" for text in apim_lines(item)]
        elif item.get("controlPlaneSync") == "failed" and item.get("controlPlaneSyncInfo"):
            lines.append(f"  {output.safe(item.get('handle'))} not sent: {output.safe(item['controlPlaneSyncInfo'])}")
    return lines


def _synced(item: Mapping[str, Any]) -> object:
    return (item.get("apiManager") or {}).get("state") or item.get("controlPlaneSync")


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" if line else line for line in lines]
