"""Kinds of documents as data, and the one way in which all of them are parsed and checked.

`llm_template.py`, `llm_provider.py`, `llm_proxy.py` and `mcp.py` each describe one kind. RestApi has its own way
(`restapi_validation.py`), because it is typed for the data plane. Pure. Source: management API reference, 4.1, 6, 9-12.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec

from gatewright.artifacts.credentials import Path
from gatewright.artifacts.limits import DEFAULT_LIMITS, Limits
from gatewright.artifacts.parsing import JSON_TYPE, parse_document
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.problems import InvalidArtifact, MalformedDocument, ValidationProblem, listed
from gatewright.artifacts.shapes import Record, shaped
from gatewright.artifacts.templates import Renderer, masked

Document = Mapping[str, Any]


class InvalidPolicies(InvalidArtifact):
    """The document itself is fine, the policies that it refers to are not."""


class Reference(msgspec.Struct, frozen=True):
    """Another artifact that must exist. `is_base`: it cannot be deleted while this document stands on it."""

    kind: str
    handle: str
    is_base: bool = False


class DocumentKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. `problems` works on the shaped and rendered document, `complete` writes defaults into the shaped one.

    `policies` gives the problems of policy references, told with the others when `one_list`, else only when there are
    no others. `references` is what must exist besides. `credentials` are the objects that may hold an `auth` block.
    `type_name` is what the original calls the type in its texts.
    """

    kind: str
    type_name: str
    shape: Record
    problems: Callable[[Document], Iterator[ValidationProblem]]
    policies: Callable[[Document, PolicyCatalogue], Iterator[ValidationProblem]]
    references: Callable[[Document], tuple[Reference, ...]]
    complete: Callable[[dict[str, Any]], dict[str, Any]] = lambda document: document
    credentials: tuple[Path, ...] = ()
    one_list: bool = False


class ValidDocument(msgspec.Struct, frozen=True):
    """A document that may be stored. `document` is what is stored, unrendered; `rendered` is what was checked."""

    document: dict[str, Any]
    rendered: dict[str, Any]

    def __repr__(self) -> str:
        """Without the content, which may hold secrets."""
        return "ValidDocument(…)"


def parse_kind(
    body: bytes, content_type: str, kind: DocumentKind, *, limits: Limits = DEFAULT_LIMITS
) -> dict[str, Any]:
    """Bytes → the shaped form. Raises MalformedDocument with the texts of section 4.1, without endpoint prefix."""
    try:
        document = parse_document(body, content_type, limits=limits, literal=True)
        return read_shape(document, kind)
    except MalformedDocument as problem:
        if content_type == JSON_TYPE or problem.message.startswith("failed to parse as"):
            raise
        raise MalformedDocument(_as_yaml(problem.message, kind), problem.problems[0].field) from None


def read_shape(document: Document, kind: DocumentKind) -> dict[str, Any]:
    """Known members only. Raises MalformedDocument."""
    return shaped(document, kind.shape, type_name=kind.type_name)


def validate(
    document: Document, kind: DocumentKind, *, catalogue: PolicyCatalogue, renderer: Renderer
) -> ValidDocument:
    """Check everything. Credentials must be in their plain form.

    Raises MalformedDocument, TemplateError, InvalidArtifact with all problems, InvalidPolicies.
    """
    stored = kind.complete(read_shape(document, kind))
    result = renderer.render(stored, handle=str((stored.get("metadata") or {}).get("name", "")), kind=kind.kind)
    broken = kind.problems(result.document)
    policies = kind.policies(result.document, catalogue)
    if kind.one_list:
        broken, policies = chain(broken, policies), iter(())
    _refuse(broken, InvalidArtifact, result.sensitive)
    _refuse(policies, InvalidPolicies, result.sensitive)
    return ValidDocument(document=stored, rendered=result.document)


def _refuse(broken: Iterator[ValidationProblem], error: type[InvalidArtifact], sensitive: frozenset[str]) -> None:
    """Problem texts quote what the document holds, hence the masking."""
    problems = listed(broken)
    if problems:
        raise error(tuple(ValidationProblem(each.field, masked(each.message, sensitive)) for each in problems))


def _as_yaml(message: str, kind: DocumentKind) -> str:
    reason = message.removeprefix("failed to unmarshal YAML: ").removeprefix("failed to parse JSON: ")
    reason = reason.removeprefix("json: ")
    return f"failed to unmarshal YAML into *management.{kind.type_name}: {reason}"
