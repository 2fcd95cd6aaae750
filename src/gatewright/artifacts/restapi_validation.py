"""From a parsed RestApi document to what is stored and what is compiled: shape, render, check, type, warn.

Pure. Source: management API reference, sections 6.7, 8.1, 8.2.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from gatewright.artifacts.limits import DEFAULT_LIMITS, Limits
from gatewright.artifacts.metadata import metadata_problems
from gatewright.artifacts.parsing import JSON_TYPE, YAML_TYPES, parse_document
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.policy_rules import policy_problems
from gatewright.artifacts.problems import (
    MAX_PROBLEMS,
    ArtifactWarning,
    InvalidArtifact,
    MalformedDocument,
    ValidationProblem,
    listed,
)
from gatewright.artifacts.restapi import KIND, RestApi, read_restapi
from gatewright.artifacts.restapi_rules import read_shape, restapi_problems
from gatewright.artifacts.restapi_warnings import restapi_warnings
from gatewright.artifacts.templates import Renderer, masked
from gatewright.artifacts.vhosts import VhostDefaults, materialised


class ValidRestApi(msgspec.Struct, frozen=True):
    """A document that may be deployed.

    `document` is what is stored and shown: known members only, expressions unrendered. `api` is made from the
    rendered copy. `sensitive` holds the values of secrets in `api`; keep them out of logs and dumps.
    """

    document: dict[str, Any]
    api: RestApi
    warnings: tuple[ArtifactWarning, ...] = ()
    sensitive: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Without the content, which may hold secrets."""
        return f"ValidRestApi({self.api.handle!r}, {len(self.warnings)} warnings)"


def parse_restapi(body: bytes, content_type: str, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Bytes → the stored form. Raises MalformedDocument with the texts of section 4.1, without endpoint prefix."""
    document = parse_document(body, content_type, limits=limits)
    try:
        return read_shape(document)
    except MalformedDocument as problem:
        if content_type == JSON_TYPE:
            raise
        prefix = "" if content_type in YAML_TYPES else "failed to parse as YAML or JSON: "
        raise MalformedDocument(
            f"{prefix}failed to unmarshal JSON into RestAPI: {problem.message}", problem.problems[0].field
        ) from None


def validate_restapi(
    document: Mapping[str, Any],
    *,
    catalogue: PolicyCatalogue,
    defaults: VhostDefaults,
    renderer: Renderer | None = None,
    materialise_vhosts: bool = False,
) -> ValidRestApi:
    """Check everything and type the result.

    `renderer` None takes expressions as plain text. `materialise_vhosts` writes the default virtual hosts into the
    document, as the original does when an artifact is created, and only then. Raises InvalidArtifact with all
    problems in the documented order, MalformedDocument for a wrong type, TemplateError for a failing expression.
    """
    stored = read_shape(document)
    if materialise_vhosts:
        stored["spec"] = materialised(stored.get("spec") or {}, defaults)
    rendered, sensitive = stored, frozenset[str]()
    if renderer is not None:
        handle = (stored.get("metadata") or {}).get("name", "")
        result = renderer.render(stored, handle=handle, kind=KIND)
        rendered, sensitive = result.document, result.sensitive
    problems = listed(_problems(rendered, catalogue))
    if problems:
        raise InvalidArtifact(tuple(_without(problem, sensitive) for problem in problems))
    api = read_restapi(rendered, defaults, catalogue)
    warnings = tuple(islice(restapi_warnings(api), MAX_PROBLEMS))
    if sensitive:
        warnings = tuple(msgspec.structs.replace(w, message=masked(w.message, sensitive)) for w in warnings)
    return ValidRestApi(document=stored, api=api, warnings=warnings, sensitive=sensitive)


def _problems(document: Mapping[str, Any], catalogue: PolicyCatalogue) -> Iterator[ValidationProblem]:
    yield from restapi_problems(document)
    spec = document.get("spec") or {}
    yield from policy_problems(spec.get("policies"), "spec.policies", catalogue)
    for index, operation in enumerate(spec.get("operations") or ()):
        yield from policy_problems(operation.get("policies"), f"spec.operations[{index}].policies", catalogue)
    yield from metadata_problems(document)


def _without(problem: ValidationProblem, sensitive: frozenset[str]) -> ValidationProblem:
    """The problem with the values of secrets masked: texts quote what the document holds."""
    if not sensitive:
        return problem
    return ValidationProblem(problem.field, masked(problem.message, sensitive))
