"""The frame around every message: `{type, payload, timestamp, correlationId, userId}`."""

from typing import Any

import msgspec

from gatewright.wire.codec import Sparse, convert, encode
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.paths import MAX_EVENT_BYTES
from gatewright.wire.times import Timestamp

_SUBJECT = "message"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A received message whose payload has not been looked at yet.

    `payload` is decoded JSON of any shape. `timestamp` is for the log only. `user_id` is set on key and application
    events.
    """

    type: str
    payload: Any = None
    timestamp: str = ""
    correlation_id: str = ""
    user_id: str = ""


class _Head(Sparse, frozen=True, kw_only=True):
    type: str = ""
    timestamp: str = ""
    correlation_id: str = ""
    user_id: str = ""


class _Outgoing(Sparse, frozen=True, kw_only=True):
    type: str
    payload: Any
    timestamp: str = ""
    correlation_id: str = ""
    user_id: str = ""


class EventTooLarge(ValueError):
    """An event beyond 1 MiB is never sent; publishing it fails."""


def decode_envelope(text: str | bytes) -> Envelope | Undecodable:
    """Read one message. Not an object → NOT_JSON, no string `type` → UNTYPED, other wrong members → WRONG_SHAPE."""
    try:
        tree = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        tree = None
    if not isinstance(tree, dict):
        return Undecodable(WireFault.NOT_JSON, "not a JSON object", subject=_SUBJECT)
    named = {name.lower(): value for name, value in tree.items() if name.lower() in {"type", "payload"}}
    kind = tree.get("type", named.get("type"))
    if not isinstance(kind, str) or not kind:
        return Undecodable(WireFault.UNTYPED, "type is missing or not a string", "$.type", _SUBJECT)
    head = convert(tree, _Head, kind)
    if isinstance(head, Undecodable):
        return head
    return Envelope(
        type=kind,
        payload=tree.get("payload", named.get("payload")),
        timestamp=head.timestamp,
        correlation_id=head.correlation_id,
        user_id=head.user_id,
    )


def encode_envelope(
    kind: str,
    payload: object,
    *,
    correlation_id: str,
    at: Timestamp,
    user_id: str = "",
) -> str:
    """Write one event. Raises EventTooLarge beyond `MAX_EVENT_BYTES`. A correlation id is used once and never again."""
    data = encode(
        _Outgoing(
            type=kind,
            payload=payload,
            timestamp=at.seconds_text(),
            correlation_id=correlation_id,
            user_id=user_id,
        ),
    )
    if len(data) > MAX_EVENT_BYTES:
        raise EventTooLarge(f"event {kind} has {len(data)} bytes, the limit is {MAX_EVENT_BYTES}")
    return data.decode()
