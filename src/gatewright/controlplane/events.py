"""An event on its way through queues and handlers. Pure."""

from datetime import UTC, datetime, timedelta

import msgspec

from gatewright.wire.events import Payload
from gatewright.wire.times import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`received` is when it arrived, in seconds of the event loop's clock; `traced` the same in ns since 1970.

    `correlation_id` is never empty.
    """

    type: str
    payload: Payload
    correlation_id: str
    user_id: str = ""
    received: float = 0.0
    traced: int = 0


class Route(msgspec.Struct, frozen=True):
    """Where an event queues: behind the others of `key`, or, `urgent`, in the lane of its own.

    `subject` names what an urgent event overtakes: waiting events of the same key and subject are void with it.
    `repeats`: an urgent event that voids nothing runs once more in its place behind those that wait.
    """

    key: str
    urgent: bool = False
    subject: str = ""
    repeats: bool = False


def moment(time: Timestamp | None) -> datetime | None:
    """A time of the wire as the write path takes it, in milliseconds; None stays None. Raises OverflowError."""
    return None if time is None else _EPOCH + timedelta(milliseconds=time.unix_ms)
