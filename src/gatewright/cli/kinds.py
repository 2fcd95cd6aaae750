"""Kinds of documents that the management API takes, and how people name them. Pure."""

from dataclasses import dataclass
from typing import Final

from gatewright.cli.exits import Exit, Failure


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: `kind` of the document, its collection in paths, the member of its lists, names people type."""

    kind: str
    collection: str
    listed: str
    names: tuple[str, ...]


REST_API: Final = Kind("RestApi", "rest-apis", "apis", ("rest-apis", "rest-api", "restapi", "restapis", "apis", "api"))
API_KEYS: Final = ("api-keys", "api-key", "keys")
KINDS: Final = (REST_API,)


def of_document(kind: str, source: str) -> Kind:
    """The kind of a document. Raises Failure."""
    for known in KINDS:
        if known.kind == kind:
            return known
    names = ", ".join(known.kind for known in KINDS)
    raise Failure(f"{source}: documents of kind {kind} cannot be applied", code=Exit.USAGE, remedy=f"known: {names}")


def of_name(name: str) -> Kind:
    """The kind that a person means. Raises Failure."""
    for known in KINDS:
        if name.lower() in known.names:
            return known
    names = ", ".join(known.names[0] for known in KINDS)
    raise Failure(f"there is no kind of resource named {name}", code=Exit.USAGE, remedy=f"known: {names}")
