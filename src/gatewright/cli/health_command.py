"""`health`: whether the processes of this machine are ready, for health checks of containers.

Asks over loopback, with nothing but the standard library: it is run every few seconds.
"""

import enum
import http.client
from typing import TYPE_CHECKING, Annotated

import typer

from gatewright.cli import configuration, output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.options import ConfigFiles

if TYPE_CHECKING:
    from gatewright.settings import Settings

_LONGEST_ANSWER = 4096


class Part(enum.StrEnum):
    """What can be asked."""

    CONTROLLER = "controller"
    ROUTER = "router"


def health(
    parts: Annotated[
        list[Part] | None, typer.Argument(show_default=False, help="Which; both when none is named.")
    ] = None,
    config: ConfigFiles = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=60, help="Seconds to wait at most.")] = 5.0,
) -> None:
    """Ask the processes of this machine whether they are ready; exit code 1 when one is not, 3 when none answers.

    A controller is ready once what is stored is loaded; a router once Envoy accepts traffic.

    Examples:

        gatewright health
        gatewright health router --config gateway.toml
    """
    settings = configuration.load(config or [], warn=False).settings
    for part in parts or list(Part):
        _ask(part, settings, timeout)
        output.line(f"{part}: ready")


def _ask(part: Part, settings: "Settings", timeout: float) -> None:
    bind = settings.gatewright.bind
    if part is Part.ROUTER:
        host, port, path = bind.router, settings.router.listener_port, "/_gateway-health/ready"
    else:
        host, port, path = bind.admin, settings.controller.admin_server.port, "/api/admin/v1/ready"
    local = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        status, body = _get(local, port, path, timeout)
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{part}: nobody answers at {local} port {port}: {error}", code=Exit.UNREACHABLE) from error
    if status != 200:
        raise Failure(f"{part}: not ready: {body or status}")


def _get(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(_LONGEST_ANSWER).decode("utf-8", "replace").strip()
    finally:
        connection.close()
