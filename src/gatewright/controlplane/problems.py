"""What can be wrong with the link: a code, what happened, what to do. Pure."""

from typing import Final

import msgspec

from gatewright.controlplane.words import quoted


class Problem(msgspec.Struct, frozen=True):
    """`code` is stable; `message` says what happened, `advice` what to do.

    `refusal`: trying again soon will not help.
    """

    code: str
    message: str
    advice: str = ""
    refusal: bool = False


_ABOUT_THE_KEY: Final = (
    "Check controller.controlplane.token: issue a new token for this gateway at the control plane and put it in place;"
    " it is read again at every attempt."
)
_REFUSED: Final = {
    401: ("the control plane does not accept the registration token", _ABOUT_THE_KEY),
    403: (
        "the control plane does not let this gateway in",
        "Check at the control plane that the gateway is enabled and that the token belongs to it.",
    ),
    404: (
        "nothing at this address speaks the gateway protocol",
        "Check controller.controlplane.host (host and port, without a scheme and path) and what listens there.",
    ),
    409: (
        "the control plane sees a conflict",
        "Compare version and functionality of this gateway with those it is registered with.",
    ),
    422: ("the control plane cannot work with this gateway's request", "Compare the versions of both sides."),
}


def upgrade_refused(status: int, words: str = "") -> Problem:
    """The upgrade was answered with one of the statuses that the protocol takes as final."""
    what, advice = _REFUSED.get(status, ("the control plane refuses this gateway", "See the control plane's log."))
    return Problem("LINK_REFUSED", _with(f"{what} (HTTP {status})", words), advice, refusal=True)


def upgrade_failed(status: int, words: str = "") -> Problem:
    """Any other answer than an upgrade."""
    what = _with(f"the control plane answered HTTP {status} instead of opening the connection", words)
    advice = (
        "It asks for fewer attempts; nothing to do."
        if status == 429
        else "See the control plane's log and its proxy's."
    )
    return Problem("LINK_NOT_UPGRADED", what, advice)


def token_refused(words: str) -> Problem:
    """API Manager closes with 4401 after the upgrade."""
    what = _with("the control plane does not accept the registration token", words)
    return Problem("LINK_REFUSED", what, _ABOUT_THE_KEY, refusal=True)


def lost(code: int | None, words: str) -> Problem:
    """An established connection ended."""
    how = f"close code {code}" if code is not None else "without a close frame"
    return Problem("LINK_LOST", _with(f"the connection ended ({how})", words), "It is opened again; nothing to do.")


def closed_early(code: int | None, words: str) -> Problem:
    """Closed between the upgrade and the acknowledgement."""
    how = f"close code {code}" if code is not None else "without a close frame"
    what = _with(f"the control plane closed the connection before acknowledging it ({how})", words)
    return Problem("LINK_CLOSED_EARLY", what, "See the control plane's log.")


def no_ack(seconds: float) -> Problem:
    """Silence after the upgrade."""
    return Problem(
        "LINK_NO_ACK",
        f"the control plane did not acknowledge the connection within {seconds:g} s",
        "Check that a control plane of this protocol answers at the configured host, and not only its proxy.",
    )


def wrong_ack(reason: str) -> Problem:
    """Something else came first."""
    return Problem(
        "LINK_WRONG_ACK",
        f"the first message was no connection.ack: {quoted(reason)}",
        "The control plane may be full (see its log), or another service answers at the configured host.",
    )


def silent(seconds: float) -> Problem:
    """No ping for too long."""
    return Problem(
        "LINK_SILENT",
        f"no ping from the control plane for {seconds:g} s; the connection counts as dead",
        "A firewall or proxy may drop idle connections; the control plane must ping at least every 20 s.",
    )


def not_answered(what: str, seconds: float) -> Problem:
    """The shell did not come back in time."""
    return Problem("LINK_TIMEOUT", f"{what} took more than {seconds:g} s", "Check network, firewall and proxy.")


def _with(what: str, words: str) -> str:
    shown = quoted(words)
    return f"{what}: {shown}" if shown else what
