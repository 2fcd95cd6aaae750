"""`doctor`: what stands between this machine and its control plane, step by step."""

import asyncio
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gatewright.cli import configuration, output
from gatewright.cli.options import ConfigFiles, Output, Strict
from gatewright.cli.output import NARROW, Format

if TYPE_CHECKING:
    from gatewright.controlplane.doctor import Diagnosis, Finding

_TITLES: Final = {
    "configuration": "Configuration",
    "proxy": "Proxy",
    "name": "Host name",
    "tcp": "TCP",
    "tls": "TLS",
    "clock": "Clock",
    "well-known": "Kind",
    "upgrade": "WebSocket",
    "ack": "Greeting",
    "rest": "REST",
    "oauth": "OAuth",
    "gateway-name": "Gateway name",
}
_MARGIN: Final = " " * 26


def doctor(
    config: ConfigFiles = None,
    interrupt: Annotated[
        bool,
        typer.Option(
            "--interrupt",
            help="Open the WebSocket of an API Manager too, which ends the connection of a running gateway: API "
            "Manager keeps one for each. Others are always tried.",
        ),
    ] = False,
    strict: Strict = False,
    form: Output = Format.TABLE,
) -> None:
    """Walk through the connection to the control plane and say what is wrong with it and what to change.

    Changes nothing at either end and leaves a running gateway alone. Exit code 1 when a step failed.

    Examples:

        gatewright doctor --config gateway.toml
        gatewright doctor -o json | jq '.findings[] | select(.state == "failed")'
    """
    loaded = configuration.load(config or [], strict=strict)
    from gatewright.controlplane.doctor import diagnose, plain

    diagnosis = asyncio.run(diagnose(loaded.settings, interrupt=interrupt))
    output.show(plain(diagnosis), form, lambda: _page(diagnosis))
    if not diagnosis.ok:
        raise typer.Exit(1)


def _page(diagnosis: "Diagnosis") -> Iterator[str]:
    from gatewright.observability.redaction import mask_secrets

    yield f"The way from this machine to {output.safe(diagnosis.host or 'a control plane')}"
    for finding in diagnosis.findings:
        yield from (output.safe(mask_secrets(text)) for text in _lines(finding))
    yield ""
    yield _summary(diagnosis)


def _lines(finding: "Finding") -> Iterator[str]:
    first, *rest = wrap(finding.seen, NARROW - len(_MARGIN)) or [""]
    yield f"  {finding.state:<7}  {_TITLES[finding.step]:<13}  {first}".rstrip()
    yield from (f"{_MARGIN}{text}" for text in rest)
    for name, text in (("What is wrong", finding.wrong), ("What to do", finding.change)):
        if text:
            lines = wrap(f"{name}: {text}", NARROW - len(_MARGIN), subsequent_indent="  ")
            yield from (f"{_MARGIN}{line}" for line in lines)


def _summary(diagnosis: "Diagnosis") -> str:
    bad = [_TITLES[finding.step] for finding in diagnosis.findings if finding.state == "failed"]
    doubtful = [_TITLES[finding.step] for finding in diagnosis.findings if finding.state == "warning"]
    if bad:
        return f"failed: {', '.join(bad)}"
    return f"it works; look at: {', '.join(doubtful)}" if doubtful else "nothing is wrong"
