"""`demo`: both directions on this machine, step by step."""

from typing import Annotated

import typer


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the last step; the exit code says whether all held.")
    ] = False,
    http_port: Annotated[
        int, typer.Option("--http-port", min=0, max=65535, help="Port of the gateway; 0: a free one.")
    ] = 0,
    management_port: Annotated[
        int, typer.Option("--management-port", min=0, max=65535, help="Port of its management API; 0: a free one.")
    ] = 0,
    hub_port: Annotated[int, typer.Option("--hub-port", min=0, max=65535, help="Port of the hub; 0: a free one.")] = 0,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder with configuration, state and logs at the end.")
    ] = False,
) -> None:
    """Run control planes, gateways and a sample backend on this machine, and show both directions step by step.

    Everything runs on loopback, in a private temporary folder that is removed at the end.

    Examples:

        gatewright demo
        gatewright demo --once
        gatewright demo --http-port 8080 --hub-port 9243
    """
    from gatewright.demo.run import Ports, run

    ports = Ports(http=http_port, management=management_port, hub=hub_port)
    raise typer.Exit(run(ports, once=once, keep=keep))
