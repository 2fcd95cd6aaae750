"""The typed RestApi: what the rest of the gateway sees of a validated document.

Pure values. `restapi_rules.py` holds the rules a document must keep, `restapi_validation.py` is the complete check.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import msgspec

from gatewright.artifacts import restapi_rules
from gatewright.artifacts.durations import Resilience, read_resilience
from gatewright.artifacts.metadata import Metadata, metadata_problems, read_metadata
from gatewright.artifacts.policies import PolicyCatalogue, PolicyRef
from gatewright.artifacts.policy_rules import read_policies
from gatewright.artifacts.problems import InvalidArtifact, listed
from gatewright.artifacts.upstreams import UpstreamDefinition, UpstreamSlot, read_definition, read_slot
from gatewright.artifacts.vhosts import VhostDefaults, Vhosts, effective_vhosts

KIND = restapi_rules.KIND


class HeaderMatch(msgspec.Struct, frozen=True):
    """A condition on a request header, as written; `type` other than `RegularExpression` means `Exact`."""

    name: str
    value: str
    type: str = "Exact"


class Operation(msgspec.Struct, frozen=True):
    """One operation. `match_type` is None for the simple form, else the text of `match.path.type` (default `Exact`)."""

    index: int
    method: str
    path: str
    match_type: str | None = None
    headers: tuple[HeaderMatch, ...] = ()
    policies: tuple[PolicyRef, ...] = ()
    resilience: Resilience = Resilience()

    @property
    def field(self) -> str:
        """Path of the operation in the document, for messages."""
        return f"spec.operations[{self.index}]"


class RestApi(msgspec.Struct, frozen=True):
    """A RestApi ready to be compiled: names, defaults and `$version` resolved, policies with their full version.

    `context` is resolved and keeps the leading slash (`/` for the root), `context_template` is the text as written.
    `vhosts.main` is never empty; `vhosts.sandbox` matters only when `sandbox` is not None.
    """

    metadata: Metadata
    display_name: str
    version: str
    context: str
    context_template: str
    vhosts: Vhosts
    main: UpstreamSlot
    sandbox: UpstreamSlot | None = None
    upstream_definitions: tuple[UpstreamDefinition, ...] = ()
    policies: tuple[PolicyRef, ...] = ()
    resilience: Resilience = Resilience()
    operations: tuple[Operation, ...] = ()
    subscription_plans: tuple[str, ...] = ()
    deployment_state: str = ""

    def __repr__(self) -> str:
        """Without the content: URLs and parameters may hold secrets."""
        return f"RestApi({self.handle!r}, {self.version!r}, {len(self.operations)} operations)"

    @property
    def kind(self) -> str:
        """Always `RestApi`."""
        return KIND

    @property
    def handle(self) -> str:
        """`metadata.name`."""
        return self.metadata.name

    @property
    def labels(self) -> Mapping[str, str]:
        """`metadata.labels`."""
        return self.metadata.labels

    @property
    def annotations(self) -> Mapping[str, str]:
        """`metadata.annotations`."""
        return self.metadata.annotations

    @property
    def undeployed(self) -> bool:
        """True when the document asks for `undeployed`; any other text means deployed."""
        return self.deployment_state == "undeployed"

    def definition(self, name: str) -> UpstreamDefinition | None:
        """The upstream definition called `name` (surrounding blanks ignored), or None."""
        wanted = name.strip()
        return next((d for d in self.upstream_definitions if d.name == wanted), None)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, defaults: VhostDefaults | None = None) -> "RestApi":
        """Type a rendered document without checking its policies. Raises InvalidArtifact with every problem."""
        shaped = restapi_rules.read_shape(document)
        problems = listed(chain(restapi_rules.restapi_problems(shaped), metadata_problems(shaped)))
        if problems:
            raise InvalidArtifact(problems)
        return read_restapi(shaped, defaults or VhostDefaults(), None)


def read_restapi(document: Mapping[str, Any], defaults: VhostDefaults, catalogue: PolicyCatalogue | None) -> RestApi:
    """Type a shaped document that has been found valid; anything else may raise what it likes."""
    spec = document["spec"]
    upstream = spec["upstream"]
    return RestApi(
        metadata=read_metadata(document),
        display_name=spec["displayName"],
        version=spec["version"],
        context=restapi_rules.resolve_version(spec["context"], spec["version"]),
        context_template=spec["context"],
        vhosts=effective_vhosts(spec.get("vhosts"), defaults),
        main=read_slot(upstream["main"]),
        sandbox=read_slot(upstream["sandbox"]) if "sandbox" in upstream else None,
        upstream_definitions=tuple(map(read_definition, spec.get("upstreamDefinitions") or ())),
        policies=read_policies(spec.get("policies"), catalogue),
        resilience=read_resilience(spec.get("resilience")),
        operations=tuple(_read_operation(index, raw, catalogue) for index, raw in enumerate(spec["operations"])),
        subscription_plans=tuple(spec.get("subscriptionPlans") or ()),
        deployment_state=spec.get("deploymentState") or "",
    )


def _read_operation(index: int, raw: Mapping[str, Any], catalogue: PolicyCatalogue | None) -> Operation:
    method, path, _, _ = restapi_rules.written_form(raw)
    match = raw.get("match")
    return Operation(
        index=index,
        method=method,
        path=path,
        match_type=None if match is None else (match.get("path") or {}).get("type") or "Exact",
        headers=tuple(
            HeaderMatch(name=h.get("name", ""), value=h.get("value", ""), type=h.get("type") or "Exact")
            for h in (match or {}).get("headers") or ()
        ),
        policies=read_policies(raw.get("policies"), catalogue),
        resilience=read_resilience(raw.get("resilience")),
    )
