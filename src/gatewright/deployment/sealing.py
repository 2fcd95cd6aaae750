"""Credentials inside documents: plain while a document is checked, in envelopes wherever it is stored or handed on.

Rows that leave the store keep their envelopes, so that no list, dump or log can show a credential by mistake. Whoever
must send one (to an upstream, to the control plane) opens it at that moment.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from gatewright.artifacts.credentials import Path, is_reference, with_values
from gatewright.store.encryption import PROVIDER

_ENVELOPE = f"enc:{PROVIDER}:"


class Seals(Protocol):
    """The part of `Store` that is used here. Both raise KeyFileError."""

    def seal(self, value: str) -> str:
        """The envelope."""
        ...

    def unseal(self, envelope: str) -> str:
        """What is in it."""
        ...


def sealed(document: Mapping[str, Any], credentials: tuple[Path, ...], seals: Seals) -> dict[str, Any]:
    """With credentials in envelopes. What only names a secret stays readable: it gives nothing away."""
    return with_values(document, credentials, lambda value: value if is_reference(value) else seals.seal(value))


def opened(document: Mapping[str, Any], credentials: tuple[Path, ...], seals: Seals) -> dict[str, Any]:
    """A stored document with its credentials in plain form. Raises KeyFileError."""
    return with_values(
        document, credentials, lambda value: seals.unseal(value) if value.startswith(_ENVELOPE) else value
    )
