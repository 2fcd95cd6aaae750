"""What went wrong with the link, and what a person can do about it. Pure."""

import ssl
from typing import Final

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """Why an attempt or a connection ended. `code` is stable, `advice` empty when waiting is all there is to do."""

    code: str
    message: str
    advice: str = ""


_CHECK_TOKEN: Final = (
    "Check controller.controlplane.token: it may have been revoked or belong to another control plane. Issue a new "
    "token there."
)
_CHECK_HOST: Final = "Check controller.controlplane.host: what answers there does not know gateways."
_REFUSALS: Final = {
    401: ("LINK_TOKEN_REFUSED", _CHECK_TOKEN),
    403: ("LINK_FORBIDDEN", "The token is known but may not connect here. Check the gateway at the control plane."),
    404: ("LINK_NOT_FOUND", _CHECK_HOST),
    409: ("LINK_CONFLICT", "The control plane has a different record of this gateway. Check its version and type there."),
    422: ("LINK_UNPROCESSABLE", _CHECK_HOST),
}
_VERIFY_ADVICE: Final = (
    "Set gatewright.controlplane.ca_file to the authority that signed the control plane's certificate; check that the "
    "certificate names the host."
)


def refused_upgrade(status: int) -> Problem:
    """The control plane answered the upgrade with a status that means no."""
    code, advice = _REFUSALS.get(status, ("LINK_REFUSED", _CHECK_HOST))
    return Problem(code, f"The control plane refused the connection with HTTP status {status}.", advice)


def unusable_upgrade(status: int) -> Problem:
    """Any other answer that is no upgrade: it may pass."""
    advice = "The control plane limits attempts." if status == 429 else ""
    return Problem("LINK_UPGRADE_FAILED", f"The control plane answered the upgrade with HTTP status {status}.", advice)


def unauthenticated() -> Problem:
    """Closed with 4401."""
    return Problem("LINK_TOKEN_REFUSED", "The control plane closed the connection: not authenticated.", _CHECK_TOKEN)


def closed(code: int | None, reason: str) -> Problem:
    """The other side ended the connection."""
    if code is None:
        return Problem("LINK_LOST", "The connection broke off.")
    # The reason is the peer's text: short, and without line breaks.
    words = f" ({reason[:120]!r})" if reason else ""
    return Problem("LINK_CLOSED", f"The control plane closed the connection with code {code}{words}.")


def silent(seconds: float) -> Problem:
    """No PING."""
    return Problem("LINK_SILENT", f"No sign of life of the control plane for {seconds:.0f} s.")


def no_answer(doing: str, seconds: float) -> Problem:
    """A step of an attempt took too long."""
    return Problem("LINK_TIMEOUT", f"{doing} took longer than {seconds:.0f} s.")


def wrong_first_message(why: str) -> Problem:
    """The first message was no acknowledgement."""
    return Problem("LINK_NO_ACK", f"The control plane did not acknowledge the connection: {why}.")


def unreachable(error: BaseException) -> Problem:
    """What kept the connection from being opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        message = f"The certificate of the control plane cannot be verified: {error.verify_message}."
        return Problem("LINK_CERTIFICATE", message, _VERIFY_ADVICE)
    if isinstance(error, ssl.SSLError):
        return Problem("LINK_TLS", f"TLS with the control plane failed: {error.reason or error}.")
    if isinstance(error, TimeoutError):
        return Problem("LINK_TIMEOUT", "The control plane did not answer in time.")
    if isinstance(error, OSError):
        what = error.strerror or str(error) or type(error).__name__
        return Problem("LINK_UNREACHABLE", f"The control plane cannot be reached: {what}.", "Check host, DNS and proxy.")
    return Problem("LINK_UNREACHABLE", f"The control plane cannot be reached: {type(error).__name__}.")
