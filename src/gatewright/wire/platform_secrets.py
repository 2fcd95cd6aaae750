"""Secrets that deployed artifacts refer to. Everything here may hold plain values: never log these structs."""

from typing import Final

from gatewright.wire.codec import Sparse, Wire, decode
from gatewright.wire.failures import Undecodable, WireFault

ACTIVE: Final = "ACTIVE"
DEPRECATED: Final = "DEPRECATED"
"""Still listed, but its value is not told any more."""


class SecretRow(Sparse, frozen=True, kw_only=True):
    """One secret; `value` only for active ones when asked for. `hash` is opaque, compared for equality only."""

    uuid: str = ""
    handle: str = ""
    name: str = ""
    type: str = ""
    provider: str = ""
    status: str = ""
    hash: str = ""
    created_at: str = ""
    updated_at: str = ""
    value: str | None = None

    def __repr__(self) -> str:
        return f"SecretRow(handle={self.handle!r}, status={self.status!r})"


class SecretList(Wire, frozen=True, kw_only=True):
    """Answer of `GET /secrets`."""

    list: tuple[SecretRow, ...] = ()
    count: int = 0


class SecretValue(Wire, frozen=True, kw_only=True):
    """Answer of `GET /secrets/{handle}/value`."""

    value: str | None = None

    def __repr__(self) -> str:
        return "SecretValue(…)"


def decode_secrets(body: bytes) -> SecretList | Undecodable:
    """Read the answer of `GET /secrets`."""
    return decode(body, SecretList, "secrets")


def decode_secret_value(body: bytes) -> str | Undecodable:
    """The plain value of one secret."""
    answer = decode(body, SecretValue, "secret value")
    if isinstance(answer, Undecodable):
        return answer
    if answer.value is None:
        return Undecodable(WireFault.MISSING_ID, "value is missing", "$.value", "secret value")
    return answer.value
