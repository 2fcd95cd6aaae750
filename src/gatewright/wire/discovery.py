"""The well-known document by which an on-prem control plane announces its paths."""

from gatewright.wire.codec import Wire, decode
from gatewright.wire.failures import Undecodable, WireFault

MAX_WELL_KNOWN_BYTES = 65_536
_SUBJECT = "well-known document"


class WellKnown(Wire, frozen=True, kw_only=True):
    """Body of the well-known document; other members are ignored."""

    gateway_path: str = ""


def decode_gateway_path(body: bytes) -> str | Undecodable:
    """The normalised gateway path of a well-known document, such as `/internal/data/v1`."""
    document = decode(body, WellKnown, _SUBJECT)
    if isinstance(document, Undecodable):
        return document
    path = normalised_gateway_path(document.gateway_path)
    if not path:
        return Undecodable(WireFault.MISSING_ID, "gatewayPath is missing or empty", "$.gatewayPath", _SUBJECT)
    return path


def normalised_gateway_path(received: str) -> str:
    """White space and outer slashes removed, one slash in front; empty when nothing is left."""
    trimmed = received.strip().strip("/")
    return f"/{trimmed}" if trimmed else ""
