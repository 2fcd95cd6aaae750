"""How a raw value becomes the type of its key: the weakly typed rules of the original, and nothing beyond.

Each rule takes a value as TOML, YAML or the environment gave it and returns the typed value, or raises ValueError
with a text that never contains the value of a secret (the caller knows which keys are). Pure.
"""

from collections.abc import Mapping
from datetime import timedelta

from gatewright.settings.durations import from_nanoseconds, parse_duration

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", ""})
_MAX_DIGITS = 40


def weak_bool(value: object) -> bool:
    """TOML booleans, Go's spellings of them, the empty string (false) and numbers (zero is false)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value != 0
    if isinstance(value, str):
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    raise ValueError(f"expected true or false, got {describe(value)}")


def weak_int(value: object) -> int:
    """Integers, numeric strings with a base prefix, the empty string (0), booleans, floats (truncated)."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float) and value == value and abs(value) < 2**63:  # noqa: PLR0124 - NaN differs from itself
        return int(value)
    if isinstance(value, str):
        try:
            return _based_int(value)
        except ValueError:
            pass
    raise ValueError(f"expected an integer, got {describe(value)}")


def weak_float(value: object) -> float:
    """Numbers and numeric strings; the empty string is 0."""
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value) if value else 0.0
        except ValueError:
            pass
    raise ValueError(f"expected a number, got {describe(value)}")


def weak_str(value: object) -> str:
    """Strings, and numbers as decimal text; a boolean becomes "1" or "0" as in the original."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    raise ValueError(f"expected a string, got {describe(value)}")


def weak_duration(value: object) -> timedelta:
    """Go notation; a bare number is nanoseconds, as in the original."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return from_nanoseconds(weak_int(value))
    raise ValueError(f'expected a duration such as "30s", got {describe(value)}')


def weak_nanoseconds(value: object) -> timedelta:
    """A count of nanoseconds, also as a numeric string; Go notation is accepted besides."""
    if isinstance(value, str):
        try:
            return from_nanoseconds(weak_int(value))
        except ValueError:
            return parse_duration(value)
    return weak_duration(value)


def weak_list(value: object) -> list[object]:
    """Arrays; a scalar or a table is lifted to one element (commas in a string do not split it)."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, Mapping) and not value:
        return []
    return [value]


def weak_map(value: object) -> dict[str, object]:
    """Tables; an empty array or string counts as an empty table."""
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items()}
    if value in ("", [], ()):
        return {}
    raise ValueError(f"expected a table, got {describe(value)}")


def describe(value: object) -> str:
    """A value in an error text: its kind, and the value itself when it is short and plain."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 80 else f"a string of {len(value)} characters"
    return str(value) if isinstance(value, int | float) else f"a {type(value).__name__}"


def _based_int(text: str) -> int:
    if not text:
        return 0
    if len(text) > _MAX_DIGITS:
        raise ValueError("too long for an integer")
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if digits[:1] in {"", "-", "+"} or digits != digits.strip():
        raise ValueError("not an integer")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)
