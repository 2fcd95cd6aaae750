"""Policy references of a document against the catalogue: problems, and the typed references.

Pure. Source: management API reference, section 18.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition, PolicyNotFound, PolicyRef
from gatewright.artifacts.problems import ValidationProblem


def policy_problems(
    references: Sequence[Mapping[str, Any]] | None, field: str, catalogue: PolicyCatalogue
) -> Iterator[ValidationProblem]:
    """Problems of a list of references standing at `field`, such as `spec.policies`."""
    for index, reference in enumerate(references or ()):
        where = f"{field}[{index}]"
        found = catalogue.resolve(reference.get("name", ""), reference.get("version", ""))
        if isinstance(found, PolicyNotFound):
            yield ValidationProblem(f"{where}.{found.member}", found.message)
            continue
        schema = catalogue.parameter_schema(found)
        yield from schema.problems(schema.coerce(reference.get("params") or {}), f"{where}.params")


def read_policies(
    references: Sequence[Mapping[str, Any]] | None, catalogue: PolicyCatalogue | None
) -> tuple[PolicyRef, ...]:
    """Type a valid list; without a catalogue versions stay unresolved and parameters as written."""
    return tuple(_read(reference, catalogue) for reference in references or ())


def _read(reference: Mapping[str, Any], catalogue: PolicyCatalogue | None) -> PolicyRef:
    name, version = reference.get("name", ""), reference.get("version", "")
    params: Mapping[str, Any] = reference.get("params") or {}
    resolved = ""
    found = catalogue.resolve(name, version) if catalogue is not None else None
    if catalogue is not None and isinstance(found, PolicyDefinition):
        resolved = found.version
        params = catalogue.parameter_schema(found).coerce(params)
    return PolicyRef(
        name=name,
        version=version.strip(),
        resolved=resolved,
        execution_condition=reference.get("executionCondition") or None,
        params=dict(params),
    )
