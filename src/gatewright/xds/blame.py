"""What the text of a refusal says: which resources it names, and whether trying again later can help. Pure."""

import re
from collections.abc import Collection
from typing import Final

from gatewright.envoy.resource import CLUSTER, LISTENER

NAMING_TYPES: Final = frozenset({CLUSTER, LISTENER})
"""Types for which Envoy names every resource that it did not take, and takes all the others (measured with 1.40)."""

CUT_AT: Final = 4000
"""Characters; a longer text may have lost names at its end."""

_TRANSIENT: Final = ("address already in use", "cannot bind", "too many open files")


def named(type_url: str, text: str, names: Collection[str]) -> list[str]:
    """Those of `names` that `text` blames; empty when the text cannot be trusted to name all of them."""
    if type_url not in NAMING_TYPES or len(text) >= CUT_AT:
        return []
    return [name for name in names if _mentions(text, name)]


def transient(text: str) -> bool:
    """Whether the world, and not the resource, is the reason: a port that another process holds."""
    lowered = text.lower()
    return any(words in lowered for words in _TRANSIENT)


def _mentions(text: str, name: str) -> bool:
    """Whether the name stands there as a whole: `pets` is not blamed for `pets-v2`."""
    return re.search(rf"(?<![\w.\-/|]){re.escape(name)}(?![\w\-/|]|\.\w)", text) is not None
