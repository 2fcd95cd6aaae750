"""Keeps credentials out of recordings: each stands there under a name of its own, the same at every place."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

_MEMBERS = (
    "registrationToken",
    "clientId",
    "clientSecret",
    "access_token",
    "refresh_token",
    "id_token",
)
"""Members of answers that hold one. Keys of APIs are not said on this wire: gateways get their hashes."""


class Credentials:
    """Those of one recording."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, value: str, name: str) -> None:
        """`value` is a credential and is shown as `name`."""
        self._names.setdefault(value, name)

    def find(self, tree: Any) -> None:
        """Note the credentials that an answer holds. The same one, told again, keeps its name."""
        if isinstance(tree, Mapping):
            for member, value in tree.items():
                if member in _MEMBERS and isinstance(value, str) and value:
                    number = sum(name.startswith(f"recorded-{member}-") for name in self._names.values()) + 1
                    self.add(value, f"recorded-{member}-{number}")
                else:
                    self.find(value)
        elif isinstance(tree, list):
            for each in tree:
                self.find(each)

    def hidden(self, value: Any) -> Any:
        """`value` with the names in place of the credentials."""
        if isinstance(value, dict):
            return {self.hidden(key): self.hidden(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.hidden(each) for each in value]
        if isinstance(value, str):
            # The longest first: one may be part of another.
            for plain in sorted(self._names, key=len, reverse=True):
                value = value.replace(plain, self._names[plain])
        return value

    def refuse_leaks(self, text: str) -> None:
        """Raise when a credential stands in what is about to be written."""
        leaked = [name for plain, name in self._names.items() if plain in text]
        if leaked:
            raise AssertionError(f"the recording holds the credentials {leaked}")


def presented(headers: Mapping[str, str]) -> dict[str, str]:
    """What a request shows of credentials: the token, and what stands in `authorization`, a pair in plain."""
    shown = {}
    if "api-key" in headers:
        shown["token"] = headers["api-key"]
    if "authorization" in headers:
        scheme, _, value = headers["authorization"].partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, ValueError):
                value = "something that is not Base64"
        shown["authorization"] = f"{scheme} {value}"
    return shown
