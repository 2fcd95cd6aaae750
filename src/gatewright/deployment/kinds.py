"""What the write path must know of a kind of artifact; a further kind is a further `KindRules`.

Pure: documents in, values out. Secrets and environment come in through the renderer.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from gatewright.artifacts import restapi_rules
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.problems import ArtifactWarning
from gatewright.artifacts.restapi_validation import ValidRestApi, validate_restapi
from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.compile import compile_restapi
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway


class Prepared(msgspec.Struct, frozen=True):
    """A valid document and what of it the store needs. `document` is unrendered."""

    document: dict[str, Any]
    handle: str
    display_name: str
    version: str
    undeployed: bool
    warnings: tuple[ArtifactWarning, ...] = ()


class KindRules(Protocol):
    """One kind."""

    @property
    def kind(self) -> str:
        """As documents write it."""
        ...

    def prepare(self, document: Mapping[str, Any], *, freeze_defaults: bool) -> Prepared:
        """Shape, render, check. `freeze_defaults` writes the gateway's defaults into the document.

        Raises MalformedDocument, TemplateError, InvalidArtifact.
        """
        ...

    def compile(self, document: Mapping[str, Any], api_id: str) -> Api:
        """A stored document as a model. Raises TemplateError, InvalidArtifact, CompileError."""
        ...

    def context(self, document: Mapping[str, Any]) -> str:
        """The resolved context of a stored document, for the filter of lists."""
        ...


class RestApiRules:
    """RestApi."""

    kind = restapi_rules.KIND

    def __init__(
        self, *, catalogue: PolicyCatalogue, defaults: VhostDefaults, renderer: Renderer, gateway: Gateway
    ) -> None:
        self._catalogue = catalogue
        self._defaults = defaults
        self._renderer = renderer
        self._gateway = gateway

    def prepare(self, document: Mapping[str, Any], *, freeze_defaults: bool) -> Prepared:
        """See KindRules."""
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
