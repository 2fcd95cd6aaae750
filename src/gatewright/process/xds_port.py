"""The port at which routers fetch their configuration: bound as the settings say, with TLS or with a warning."""

from ipaddress import ip_address
from pathlib import Path

from gatewright.observability.logging import get_logger
from gatewright.settings.tree import Settings
from gatewright.xds.server import AdsServer
from gatewright.xds.tls import ServerTls, server_credentials

_log = get_logger(__name__)


async def serve_xds(server: AdsServer, settings: Settings) -> None:
    """Start `server`. Raises CannotListen, TlsUnusable."""
    host, port = settings.gatewright.bind.xds, settings.controller.server.xds_port
    files = _files(settings)
    if not _is_loopback(host) and (files is None or files.client_authorities is None):
        _log.warning(
            "anybody who reaches the xDS port can read the keys of listeners and the hashes of API keys",
            address=f"{host}:{port}",
            advice="Set controller.policy_server.tls and gatewright.xds.client_ca_file, or let only routers reach it.",
        )
    credentials = None if files is None else server_credentials(files)
    await server.start(f"{host}:{port}", credentials=credentials)
    _log.info("xDS is served", address=f"{host}:{port}", tls=files is not None)


def _files(settings: Settings) -> ServerTls | None:
    tls, authorities = settings.controller.policy_server.tls, settings.gatewright.xds.client_ca_file
    if not tls.enabled:
        return None
    return ServerTls(Path(tls.cert_file), Path(tls.key_file), Path(authorities) if authorities else None)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
