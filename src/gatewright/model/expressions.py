"""Literal text inside regular expressions."""

_SPECIAL = frozenset("\\.+*?()|[]{}^$")


def quoted(text: str) -> str:
    """`text` as an RE2 expression that matches exactly it."""
    return "".join("\\" + c if c in _SPECIAL else c for c in text)
