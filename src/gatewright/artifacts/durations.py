"""Single-unit durations (`30s`, `1.5m`, `500ms`) and the `resilience` block.

Pure. Source: management API reference, section 6.9.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec

from gatewright.artifacts.problems import ValidationProblem

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MILLISECONDS = {"ms": Decimal(1), "s": Decimal(1000), "m": Decimal(60_000), "h": Decimal(3_600_000)}
_LARGEST_MS = Decimal(2**63 - 1) / Decimal(1_000_000)  # a Go duration is a signed 64-bit count of nanoseconds
_LONGEST_TEXT = 64  # characters; nothing that fits a Go duration is longer in a sensible spelling

_RESILIENCE_TEXT = (
    "Invalid timeout format (expected a single-unit duration like '30s', '1m', '500ms', or '0s' to disable;"
    " compound, negative, and unitless values are not allowed)"
)


class Resilience(msgspec.Struct, frozen=True):
    """Timeouts of a route in milliseconds, rounded up; None leaves the router's default, 0 switches it off."""

    timeout_ms: int | None = None
    idle_timeout_ms: int | None = None


class DurationOverflow(ValueError):
    """The text is well formed but longer than 292 years."""


def duration_ms(text: str) -> int | None:
    """Milliseconds, rounded up so that a positive duration never becomes 0; None when the form is wrong.

    Raises DurationOverflow.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    if len(text) > _LONGEST_TEXT:
        raise DurationOverflow(f'time: invalid duration "{text[:_LONGEST_TEXT]}…"')
    milliseconds = Decimal(found[1]) * _MILLISECONDS[found[2]]
    if milliseconds > _LARGEST_MS:
        raise DurationOverflow(f'time: invalid duration "{text}"')
    return int(milliseconds.to_integral_value(ROUND_CEILING))


def resilience_problems(raw: Mapping[str, Any] | None, prefix: str) -> Iterator[ValidationProblem]:
    """Problems of a `resilience` block at `prefix`; a blank text counts as absent."""
    for name in ("timeout", "idleTimeout"):
        text = (raw or {}).get(name) or ""
        if not text.strip():
            continue
        try:
            if duration_ms(text.strip()) is None:
                yield ValidationProblem(f"{prefix}.{name}", _RESILIENCE_TEXT)
        except DurationOverflow as overflow:
            yield ValidationProblem(f"{prefix}.{name}", f"Invalid timeout format: {overflow}")


def read_resilience(raw: Mapping[str, Any] | None) -> Resilience:
    """Type a valid `resilience` block."""
    if not raw:
        return Resilience()
    timeout, idle = (raw.get("timeout") or "").strip(), (raw.get("idleTimeout") or "").strip()
    return Resilience(
        timeout_ms=duration_ms(timeout) if timeout else None,
        idle_timeout_ms=duration_ms(idle) if idle else None,
    )
