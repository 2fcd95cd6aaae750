"""TLS towards the control plane: what is trusted, what the gateway shows of itself. Reads PEM files.

Verified unless `insecure_skip_verify` says otherwise; TLS 1.2 at least. Files are read again when they change, so that
a renewed authority or client certificate needs no restart.
"""

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.problems import Problem


class TlsUnusable(Exception):
    """A file of the settings cannot be used. `problem` says which and what to do."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


class Trust:
    """Makes the TLS context and keeps it until one of its files changes."""

    def __init__(self, config: LinkConfig) -> None:
        self._config = config
        self._stamp: tuple[tuple[int, int], ...] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context for new connections; the same object until a file changes. Blocks. Raises TlsUnusable."""
        stamp = tuple(_stamp(name) for name in self._files())
        if self._context is None or stamp != self._stamp:
            self._context = self._make()
            self._stamp = stamp
        return self._context

    def _files(self) -> tuple[str, ...]:
        config = self._config
        return tuple(filter(None, (config.ca_file, config.client_certificate_file, config.client_key_file)))

    def _make(self) -> ssl.SSLContext:
        config = self._config
        try:
            context = ssl.create_default_context(cafile=config.ca_file or None)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("gatewright.controlplane.ca_file", config.ca_file, error) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if not config.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if config.client_certificate_file:
            try:
                # An empty password instead of a prompt on the terminal for an encrypted key.
                context.load_cert_chain(config.client_certificate_file, config.client_key_file or None, lambda: "")
            except (OSError, ssl.SSLError) as error:
                key, name = "gatewright.controlplane.client_certificate_file", config.client_certificate_file
                raise _unusable(key, name, error) from error
        return context


def certificate_end(connection: ssl.SSLObject | ssl.SSLSocket | None) -> datetime | None:
    """Until when the control plane's certificate is valid; None when it cannot be told."""
    der = connection.getpeercert(binary_form=True) if connection is not None else None
    if not der:
        return None
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return None


def _unusable(key: str, name: str, error: Exception) -> TlsUnusable:
    what = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    advice = f"Set {key} to a PEM file that this user may read; certificate and key must belong together, unencrypted."
    return TlsUnusable(Problem("LINK_TLS_FILES", f"{name or 'the system bundle'} cannot be used: {what}", advice))


def _stamp(name: str) -> tuple[int, int]:
    try:
        status = Path(name).stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)
