"""Words of the other side, made fit for a log line, a status and an error text. Pure."""

from typing import Any, Final

import msgspec

from gatewright.observability.redaction import mask_secrets

LONGEST: Final = 300
"""Characters that are kept."""


def quoted(text: str) -> str:
    """`text` on one line, without control characters and known secrets, shortened."""
    shown = mask_secrets("".join(char if char.isprintable() else " " for char in text[: 4 * LONGEST])).strip()
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"


def error_words(body: bytes) -> str:
    """The sentence of an error body: `description`, else `message`, else the text itself; shortened."""
    try:
        tree: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return quoted(body.decode("utf-8", "replace"))
    if isinstance(tree, dict):
        for name in ("description", "message"):
            if isinstance(tree.get(name), str) and tree[name]:
                return quoted(tree[name])
    return ""


def retry_after(header: str) -> float:
    """Seconds of a `Retry-After` in its numeric form, at most an hour; 0 for anything else."""
    return min(float(header), 3600.0) if header.isascii() and header.isdigit() and len(header) < 10 else 0.0
