"""Virtual hosts of an API, as text that Envoy takes.

Source: data-plane reference, section 3. Pure.
"""

import re

from gatewright.artifacts.restapi import RestApi
from gatewright.compile.errors import CompileError

_HOST = re.compile(r"[^\x00-\x20\x7f/?#@;]{1,253}")


def main_hosts(api: RestApi) -> tuple[str, ...]:
    """Hosts that serve the main upstream. Raises CompileError."""
    return tuple(_checked(host, "spec.vhosts.main") for host in api.vhosts.main)


def sandbox_host(api: RestApi) -> str | None:
    """The host that serves the sandbox upstream, None when there is none. Raises CompileError."""
    if api.sandbox is None or not api.vhosts.sandbox:
        return None
    host = _checked(api.vhosts.sandbox, "spec.vhosts.sandbox")
    if host.lower() in {main.lower() for main in api.vhosts.main}:
        raise CompileError(
            "VHOST_CONFLICT",
            f"main and sandbox both use the host {host!r}",
            "spec.vhosts.sandbox",
            "Give the sandbox a host of its own",
        )
    return host


def _checked(host: str, field: str) -> str:
    if not _HOST.fullmatch(host) or not host.isprintable():
        raise CompileError(
            "VHOST_INVALID",
            f"{host!r} is not a host name or pattern",
            field,
            "Write a host such as api.example.com, *.example.com, api-* or *",
        )
    return host
