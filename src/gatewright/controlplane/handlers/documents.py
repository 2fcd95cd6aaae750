"""A downloaded definition as a plain document of the expected kind."""

import asyncio
from typing import Any, Final

from gatewright.artifacts.parsing import parse_yaml
from gatewright.artifacts.problems import MalformedDocument
from gatewright.wire.kinds import ArtifactKind

_SMALL: Final = 32_768
"""Bytes up to which parsing takes too little time to be worth a thread."""


class Unusable(Exception):
    """The definition cannot be used; the text says why and never quotes it."""


async def read_document(body: bytes, kind: ArtifactKind) -> dict[str, Any]:
    """Parse. Raises Unusable."""
    try:
        literal = kind is not ArtifactKind.REST_API
        if len(body) <= _SMALL:
            document = parse_yaml(body, literal=literal)
        else:
            document = await asyncio.to_thread(parse_yaml, body, literal=literal)
    except MalformedDocument as problem:
        raise Unusable(problem.message) from None
    if document.get("kind") != kind.value:
        raise Unusable(f"the definition is not of kind {kind.value}")
    return document
