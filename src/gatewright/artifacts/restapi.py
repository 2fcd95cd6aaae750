"""The typed RestApi: what the rest of the gateway sees of a validated document.

Pure values; `restapi_reading.py` makes them out of a mapping, `restapi_rules.py` holds the rules a document must keep.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gatewright.artifacts.durations import Resilience
from gatewright.artifacts.metadata import Metadata
from gatewright.artifacts.policies import PolicyRef
from gatewright.artifacts.upstreams import UpstreamDefinition, UpstreamSlot
from gatewright.artifacts.vhosts import VhostDefaults, Vhosts

KIND = "RestApi"


class HeaderMatch(msgspec.Struct, frozen=True):
    """A condition on a request header, as written; `type` is `Exact`, `RegularExpression` or any other text (= Exact)."""

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

    @staticmethod
    def from_document(document: Mapping[str, Any], *, defaults: VhostDefaults | None = None) -> "RestApi":
        """Type a valid, rendered document without checking policies. Raises InvalidArtifact on anything else."""
        from gatewright.artifacts.restapi_validation import validate_restapi  # noqa: PLC0415 - breaks the cycle

        return validate_restapi(document, catalogue=None, defaults=defaults or VhostDefaults()).api
