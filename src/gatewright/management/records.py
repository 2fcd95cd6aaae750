"""Bodies of subscriptions and their plans: small flat records in JSON or YAML.

Source: management API reference, 4.2. Member names are compared without case, as the original's decoder does.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from gatewright.artifacts.limits import Limits
from gatewright.artifacts.parsing import parse_json, parse_yaml
from gatewright.artifacts.problems import MalformedDocument
from gatewright.management.requests import Call

INVALID = "Invalid request body"
LARGEST_RECORD_BYTES = 64 * 1024
_LIMITS = Limits(max_bytes=LARGEST_RECORD_BYTES, max_nodes=10_000)
_YAML_TYPES = frozenset({"application/yaml", "text/yaml", "application/x-yaml"})
"""The original does not know the last one here and reads it as JSON."""

T = TypeVar("T", bound=msgspec.Struct)


class Unreadable(Exception):
    """The body is no record of this type."""


async def record(call: Call, shape: type[T]) -> T:
    """The body as `shape`; members that it does not know are ignored. Raises Unreadable."""
    raw = await call.body(LARGEST_RECORD_BYTES)
    kind = call.content_type.partition(";")[0].strip().lower()
    members = {field.encode_name.lower(): field.encode_name for field in msgspec.structs.fields(shape)}
    try:
        if not raw.strip():
            raise Unreadable(INVALID)
        plain = (parse_yaml if kind in _YAML_TYPES else parse_json)(raw, limits=_LIMITS)
        found = {members[name.lower()]: value for name, value in plain.items() if name.lower() in members}
        # Lone surrogates are text for Python alone; no database takes them.
        msgspec.json.encode(found)
        return msgspec.convert(found, shape)
    except (MalformedDocument, msgspec.ValidationError, UnicodeEncodeError):
        raise Unreadable(INVALID) from None


def in_utc(time: datetime | None) -> datetime | None:
    """The same instant in UTC. Raises Unreadable for one beyond all calendars."""
    try:
        return None if time is None else time.astimezone(UTC)
    except OverflowError:
        raise Unreadable(INVALID) from None


def given(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The members that have a value; empty texts are left out too."""
    return {name: value for name, value in members if value is not None and value != ""}
