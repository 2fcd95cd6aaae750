"""What the write path must know of a kind of artifact; a further kind is a further `KindRules`.

Pure: documents in, values out. Secrets and environment come in through the renderer.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from gatewright.artifacts import restapi_rules
from gatewright.artifacts.credentials import Path
from gatewright.artifacts.document_kinds import Reference
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.problems import ArtifactWarning
from gatewright.artifacts.restapi_validation import ValidRestApi, validate_restapi
from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.compile import compile_restapi
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway


class Base(msgspec.Struct, frozen=True):
    """What a document was prepared against: the stored document that it replaces, None when there was none."""

    document: dict[str, Any] | None


class Prepared(msgspec.Struct, frozen=True):
    """A valid document and what of it the store needs. `document` is unrendered.

    `references` must exist when it is written. `base` is set when the result depends on what was stored before: it must
    still be that when it is written.
    """

    document: dict[str, Any]
    handle: str
    display_name: str
    version: str
    undeployed: bool
    warnings: tuple[ArtifactWarning, ...] = ()
    references: tuple[Reference, ...] = ()
    base: Base | None = None

    def __repr__(self) -> str:
        """Without the content, which may hold credentials."""
        return f"Prepared({self.handle!r})"


class NoTraffic(msgspec.Struct, frozen=True):
    """Why a deployed artifact has nothing for the routers; `code` is stable."""

    code: Literal["NO_TRAFFIC", "NO_TRAFFIC_YET"]
    reason: str


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """In which ways kinds differ when they are written.

    `fixed_handle`: an update that names another handle is refused before its document is looked at. `pinned`: the
    author may choose the UUID. `inherits`: an update depends on what is stored. `credentials`: the objects in the
    document that may hold an `auth` block.
    """

    fixed_handle: bool = False
    pinned: bool = False
    inherits: bool = False
    credentials: tuple[Path, ...] = ()


class KindRules(Protocol):
    """One kind."""

    @property
    def kind(self) -> str:
        """As documents write it."""
        ...

    @property
    def traits(self) -> Traits:
        """How it is written."""
        ...

    def prepare(
        self, document: Mapping[str, Any], *, freeze_defaults: bool, replaces: Mapping[str, Any] | None = None
    ) -> Prepared:
        """Shape, render, check. `freeze_defaults` writes the gateway's defaults into the document.

        `replaces` is the stored document that this one follows. Credentials are in their plain form in both.
        Raises MalformedDocument, TemplateError, InvalidArtifact.
        """
        ...

    def compile(self, document: Mapping[str, Any], api_id: str) -> Api | NoTraffic:
        """A stored document as a model. Raises TemplateError, InvalidArtifact, CompileError."""
        ...

    def context(self, document: Mapping[str, Any]) -> str:
        """The resolved context of a stored document, for the filter of lists."""
        ...


class RestApiRules:
    """RestApi."""

    kind = restapi_rules.KIND
    traits = Traits(fixed_handle=True, pinned=True)

    def __init__(
        self, *, catalogue: PolicyCatalogue, defaults: VhostDefaults, renderer: Renderer, gateway: Gateway
    ) -> None:
        self._catalogue = catalogue
        self._defaults = defaults
        self._renderer = renderer
        self._gateway = gateway

    def prepare(
        self, document: Mapping[str, Any], *, freeze_defaults: bool, replaces: Mapping[str, Any] | None = None
    ) -> Prepared:
        """See KindRules."""
        del replaces
        valid = self._valid(document, freeze_defaults=freeze_defaults)
        return Prepared(
            document=valid.document,
            handle=valid.api.handle,
            display_name=valid.api.display_name,
            version=valid.api.version,
            undeployed=valid.api.undeployed,
            warnings=valid.warnings,
        )

    def compile(self, document: Mapping[str, Any], api_id: str) -> Api:
        """See KindRules. What was valid when it was stored need not be so now: secrets and policies change."""
        valid = self._valid(document, freeze_defaults=False)
        return compile_restapi(valid.api, api_id=api_id, gateway=self._gateway, catalogue=self._catalogue)

    def context(self, document: Mapping[str, Any]) -> str:
        """See KindRules."""
        spec = document.get("spec") or {}
        return restapi_rules.resolve_version(spec.get("context", ""), spec.get("version", ""))

    def _valid(self, document: Mapping[str, Any], *, freeze_defaults: bool) -> ValidRestApi:
        return validate_restapi(
            document,
            catalogue=self._catalogue,
            defaults=self._defaults,
            renderer=self._renderer,
            materialise_vhosts=freeze_defaults,
        )
