"""Plain YAML scalars that look like numbers, booleans or times and keep their own spelling until a shape has read them.

The original's decoder of all kinds but RestApi takes the text of any scalar for a text member: `version: 1.10` is
"1.10", `specVersion: 2025-06-18` stays as written. Pure.
"""

from typing import NamedTuple

from gatewright.artifacts.plain import Plain


class LiteralScalar(NamedTuple):
    """A scalar as written, and what it means where no text is wanted."""

    text: str
    value: bool | int | float | str


def meaning(value: Plain) -> Plain:
    """`value` with every literal scalar in it replaced by what it means. The depth is that of a bounded document."""
    if type(value) is LiteralScalar:
        return value.value
    if isinstance(value, dict):
        return {key: meaning(item) for key, item in value.items()}
    if type(value) is list:
        return [meaning(item) for item in value]
    return value
