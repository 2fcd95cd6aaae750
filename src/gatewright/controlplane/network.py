"""Errors of sockets, TLS and HTTP libraries as problems that people can act on. Pure."""

import socket
import ssl
from collections.abc import Iterator

from gatewright.controlplane.problems import Problem
from gatewright.controlplane.words import quoted

_UNTRUSTED_ADVICE = (
    "Set gatewright.controlplane.ca_file to the certificate (PEM) of the authority that signed it, or give the control "
    "plane a certificate for this name. controller.controlplane.insecure_skip_verify = true switches the check off."
)


_CLIENT_CERTIFICATE_ADVICE = (
    "Set gatewright.controlplane.client_certificate_file and client_key_file to a certificate that the control plane "
    "trusts and that has not ended."
)

_OF_OUR_CERTIFICATE = (
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_BAD_CERTIFICATE",
    "ALERT_UNSUPPORTED_CERTIFICATE",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_CERTIFICATE_REVOKED",
    "ALERT_CERTIFICATE_UNKNOWN",
    "ALERT_UNKNOWN_CA",
    "ALERT_DECRYPT_ERROR",
)
"""Ends of the reasons with which a server turns down what the client has shown."""


def network_problem(error: BaseException, host: str) -> Problem:
    """Why `host` could not be reached; looks through the errors that a library wraps around the cause."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            what = f"the certificate of {host} cannot be verified: {quoted(cause.verify_message or str(cause))}"
            return Problem("LINK_UNTRUSTED", what, _UNTRUSTED_ADVICE)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls_problem(cause, host)
        if isinstance(cause, socket.gaierror):
            advice = "Check the name in controller.controlplane.host and the DNS of this machine."
            return Problem("LINK_NAME_UNKNOWN", f"the name of {host} cannot be resolved: {cause.strerror}", advice)
        if isinstance(cause, ConnectionRefusedError):
            advice = "Check that the control plane runs, and its port in controller.controlplane.host."
            return Problem("LINK_UNREACHABLE", f"nothing listens at {host}", advice)
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return Problem("LINK_TIMEOUT", f"{host} did not answer in time", "Check network, firewall and proxy.")
    what = quoted(str(error)) or type(error).__name__
    return Problem("LINK_UNREACHABLE", f"no connection to {host}: {what}", "Check network, firewall and proxy.")


def _tls_problem(error: ssl.SSLError, host: str) -> Problem:
    reason = error.reason or ""
    if reason.endswith(_OF_OUR_CERTIFICATE):
        what = f"{host} does not accept the certificate of this gateway, or wants one: {quoted(reason)}"
        return Problem("LINK_TLS_FAILED", what, _CLIENT_CERTIFICATE_ADVICE)
    what = f"no TLS connection to {host}: {quoted(reason or str(error))}"
    return Problem("LINK_TLS_FAILED", what, "Check that the port speaks TLS 1.2 or later.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__
