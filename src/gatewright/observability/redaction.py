"""Known secret values, and how they are taken out of text.

Two nets, because either alone has holes: values typed as secrets are replaced wherever they appear as values, and
every value registered here is masked in any finished line, whatever path it took into it (an exception text, a
URL, a library's own message). Pure apart from the registry; imports nothing heavy.
"""

import json
import threading
from urllib.parse import quote

MASK = "**********"

MIN_LENGTH = 6
"""Shorter values are not masked: replacing every `admin` or `t` would make the log unreadable."""

MAX_SECRETS = 1024
"""Bound of the registry; the value registered first leaves first."""


class SecretRegistry:
    """A bounded set of secret values. Safe to use from several threads."""

    def __init__(self, limit: int = MAX_SECRETS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._values: dict[str, tuple[str, ...]] = {}
        self._patterns: tuple[str, ...] = ()

    def register(self, value: str) -> None:
        """Mask `value`, and its JSON and URL spellings, from now on. Blank and short values are ignored."""
        value = value.strip()
        if len(value) < MIN_LENGTH:
            return
        with self._lock:
            self._values.pop(value, None)
            self._values[value] = _spellings(value)
            while len(self._values) > self._limit:
                del self._values[next(iter(self._values))]
            self._rebuild()

    def forget(self, value: str) -> None:
        """Stop masking `value` (it was rotated out and may be reused as ordinary text)."""
        with self._lock:
            if self._values.pop(value.strip(), None) is not None:
                self._rebuild()

    def mask(self, text: str) -> str:
        """`text` with every registered value replaced by `MASK`."""
        for pattern in self._patterns:
            if pattern in text:
                text = text.replace(pattern, MASK)
        return text

    def _rebuild(self) -> None:
        spellings = {spelling for group in self._values.values() for spelling in group}
        # Longest first: a secret may contain another one.
        self._patterns = tuple(sorted(spellings, key=lambda item: (-len(item), item)))


def _spellings(value: str) -> tuple[str, ...]:
    escaped = json.dumps(value)[1:-1]
    return tuple(dict.fromkeys((value, escaped, repr(value)[1:-1], quote(value, safe=""))))


_registry = SecretRegistry()


def register_secret(value: str) -> None:
    """Mask `value` in every line that this process logs."""
    _registry.register(value)


def forget_secret(value: str) -> None:
    """Undo `register_secret`."""
    _registry.forget(value)


def mask_secrets(text: str) -> str:
    """`text` without any registered secret; for output that does not go through the log."""
    return _registry.mask(text)
