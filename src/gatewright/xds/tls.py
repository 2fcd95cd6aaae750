"""TLS between controllers and routers. Files are read again, so that renewed certificates need no restart."""

from pathlib import Path
from typing import Any

import grpc
import msgspec

from gatewright.observability.logging import get_logger

_log = get_logger(__name__)


class TlsUnusable(OSError):
    """A file cannot be read or is no PEM; the text says which."""


class ServerTls(msgspec.Struct, frozen=True):
    """PEM files of a controller. With `client_authorities` only routers that show a certificate of these are served."""

    certificate: Path
    key: Path
    client_authorities: Path | None = None


class ClientTls(msgspec.Struct, frozen=True):
    """PEM files of a router. `server_name`: what the controller's certificate must say; empty: the address."""

    certificate: Path
    key: Path
    authorities: Path
    server_name: str = ""


def server_credentials(files: ServerTls) -> grpc.ServerCredentials:
    """For an xDS server. Raises TlsUnusable."""
    seen = _pem(files)

    def fetch() -> Any:  # noqa: ANN401 - a configuration or None; the stubs do not know of None
        """Asked at every handshake; None: as before."""
        nonlocal seen
        try:
            fresh = _pem(files)
        except TlsUnusable as problem:
            _log.warning("renewed certificates of the xDS port cannot be used; the old ones stay", problem=str(problem))
            return None
        if fresh == seen:
            return None
        seen = fresh
        return _configuration(fresh)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(seen), fetch, require_client_authentication=files.client_authorities is not None
    )


def client_credentials(files: ClientTls) -> grpc.ChannelCredentials:
    """For one connection to a controller. Raises TlsUnusable."""
    return grpc.ssl_channel_credentials(_read(files.authorities), _read(files.key), _read(files.certificate))


def _pem(files: ServerTls) -> tuple[bytes, bytes, bytes | None]:
    authorities = files.client_authorities
    return _read(files.key), _read(files.certificate), None if authorities is None else _read(authorities)


def _configuration(pem: tuple[bytes, bytes, bytes | None]) -> grpc.ServerCertificateConfiguration:
    key, certificate, authorities = pem
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise TlsUnusable(
            f"cannot read {path}, for TLS between controller and routers: {problem.strerror}"
        ) from problem
    if b"-----BEGIN " not in content:
        raise TlsUnusable(f"{path} is no PEM file; TLS between controller and routers needs one")
    return content
