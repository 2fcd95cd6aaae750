"""Policies as documents name them and as the gateway defines them: references, definitions, the catalogue.

Pure data: who fills the catalogue is not known here. Source: management API reference, section 18.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gatewright.artifacts.parameters import ParameterSchema

_FULL_VERSION = re.compile(r"v([0-9]+)\.([0-9]+)\.([0-9]+)")
_MAJOR_VERSION = re.compile(r"v([0-9]+)")


class PolicyRef(msgspec.Struct, frozen=True):
    """A policy attached to an API or an operation.

    `version` is the text as written (`v1`, or empty for the latest), `resolved` the full version of the definition
    (`v1.2.1`; empty when the document was typed without a catalogue). `params` are rendered and coerced to the types
    that the definition declares.
    """

    name: str
    version: str
    resolved: str = ""
    execution_condition: str | None = None
    params: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        """Without the parameters, which may hold secrets."""
        return f"PolicyRef({self.name!r}, {self.resolved or self.version!r})"


class InvalidPolicyDefinition(ValueError):
    """A definition cannot be loaded: the gateway must not start with it."""


class PolicyDefinition(msgspec.Struct, frozen=True):
    """A policy that the gateway can run. `parameters` and `system_parameters` are JSON Schemas or None."""

    name: str
    version: str
    parameters: Mapping[str, Any] | None = None
    system_parameters: Mapping[str, Any] | None = None
    display_name: str = ""
    description: str = ""
    managed_by: str = "wso2"

    @property
    def key(self) -> tuple[int, int, int]:
        """The version as numbers, for ordering. Raises InvalidPolicyDefinition when it is not `vX.Y.Z`."""
        found = _FULL_VERSION.fullmatch(self.version)
        if found is None:
            raise InvalidPolicyDefinition(
                f"policy {self.name!r} has version {self.version!r}; write a full version such as v1.0.0"
            )
        return int(found[1]), int(found[2]), int(found[3])

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PolicyDefinition":
        """Read a definition file's content. Raises InvalidPolicyDefinition."""
        name, version = document.get("name"), document.get("version")
        if not isinstance(name, str) or not name.strip():
            raise InvalidPolicyDefinition("a policy definition has no name")
        if not isinstance(version, str):
            raise InvalidPolicyDefinition(f"policy {name!r} has no version; write a full version such as v1.0.0")
        for key in ("parameters", "systemParameters"):
            if not isinstance(document.get(key), Mapping | None):
                raise InvalidPolicyDefinition(f"policy {name!r}: {key} must be a JSON Schema object")
        definition = cls(
            name=name,
            version=version,
            parameters=document.get("parameters"),
            system_parameters=document.get("systemParameters"),
            display_name=str(document.get("displayName") or ""),
            description=str(document.get("description") or ""),
            managed_by=str(document.get("managedBy") or "wso2"),
        )
        definition.key  # noqa: B018 - checks the version
        return definition


class PolicyNotFound(msgspec.Struct, frozen=True):
    """Why a reference has no definition; `member` is the part of the reference to blame: `version` or `name`."""

    message: str
    member: str = "version"


class PolicyCatalogue:
    """All definitions of a gateway. Immutable after construction; look-ups cost the same at any size."""

    def __init__(self, definitions: Iterable[PolicyDefinition] = ()) -> None:
        """Raises InvalidPolicyDefinition for a bad version or a repeated (name, version)."""
        by_name: dict[str, list[PolicyDefinition]] = {}
        for definition in definitions:
            by_name.setdefault(definition.name, []).append(definition)
        for name, versions in by_name.items():
            versions.sort(key=lambda d: d.key)
            keys = [d.key for d in versions]
            if len(set(keys)) != len(keys):
                raise InvalidPolicyDefinition(f"policy {name!r} is defined twice with the same version")
        self._by_name = {name: tuple(versions) for name, versions in by_name.items()}
        self._schemas = {(d.name, d.version): ParameterSchema(d.parameters) for d in self}

    def __iter__(self) -> Iterator[PolicyDefinition]:
        """Definitions by name, then by version."""
        return (d for name in sorted(self._by_name) for d in self._by_name[name])

    def __len__(self) -> int:
        """Number of definitions."""
        return sum(map(len, self._by_name.values()))

    def parameter_schema(self, definition: PolicyDefinition) -> ParameterSchema:
        """The compiled schema of a definition's `params`. Raises KeyError for a definition of another catalogue."""
        return self._schemas[definition.name, definition.version]

    def resolve(self, name: str, version: str) -> PolicyDefinition | PolicyNotFound:
        """The definition that a reference means (18.2), or the reason why there is none (18.3)."""
        wanted = version.strip()
        candidates = self._by_name.get(name, ())
        if not wanted:
            if candidates:
                return candidates[-1]
            return PolicyNotFound(f"policy '{name}' not found in loaded policy definitions")
        major = _MAJOR_VERSION.fullmatch(wanted)
        if major is None:
            return PolicyNotFound(_bad_version(name, wanted))
        matching = [d for d in candidates if str(d.key[0]) == major[1]]
        if len(matching) == 1:
            return matching[0]
        if matching:
            return PolicyNotFound(
                f"multiple matching versions for policy '{name}' major '{wanted}'; cannot resolve uniquely"
            )
        return PolicyNotFound(f"policy '{name}' major version '{wanted}' not found in loaded policy definitions")


def _bad_version(name: str, version: str) -> str:
    if _FULL_VERSION.fullmatch(version):
        return (
            f"policy '{name}' version must be major-only (e.g., v1);"
            " full semantic version (e.g., v1.0.0) is not allowed"
        )
    return f"invalid version format '{version}' for policy '{name}'; expected major-only version (e.g., v1)"
