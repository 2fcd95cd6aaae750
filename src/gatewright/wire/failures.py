"""What decoding something from the other side can fail with. Failures are values; only programming errors raise."""

import enum

import msgspec


class WireFault(enum.StrEnum):
    """Stable codes of everything that can be wrong with received data."""

    NOT_JSON = "WIRE_NOT_JSON"
    UNTYPED = "WIRE_UNTYPED"
    UNKNOWN_TYPE = "WIRE_UNKNOWN_TYPE"
    WRONG_SHAPE = "WIRE_WRONG_SHAPE"
    MISSING_ID = "WIRE_MISSING_ID"
    TOO_LARGE = "WIRE_TOO_LARGE"
    BROKEN_ARCHIVE = "WIRE_BROKEN_ARCHIVE"
    UNSAFE_ARCHIVE = "WIRE_UNSAFE_ARCHIVE"
    NO_DOCUMENT = "WIRE_NO_DOCUMENT"


class Undecodable(msgspec.Struct, frozen=True):
    """Received data that cannot be used.

    `code` is stable, `reason` a sentence that never quotes the data itself (it may hold secrets), `where` the member
    path or archive entry, `subject` the event type or the name of the body.
    """

    code: WireFault
    reason: str
    where: str = ""
    subject: str = ""

    def __str__(self) -> str:
        """One line for a log or an error message."""
        subject = f"{self.subject}: " if self.subject else ""
        where = f" (at {self.where})" if self.where else ""
        return f"{subject}{self.reason}{where}"
