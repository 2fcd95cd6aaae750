"""A stored REST API as the archive that the publisher imports. Pure: equal input gives equal bytes.

Source: API Manager reference, section 10. Beyond the original: a sandbox upstream is sent as such, and properties of
our own say which gateway API this is, what content was sent (`evidence.py` reads both), and what API Manager cannot
hold (`kept.py`).
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gatewright.artifacts.restapi_rules import resolve_version, written_form
from gatewright.artifacts.templates import TemplateError
from gatewright.controlplane.apim import kept
from gatewright.controlplane.apim.hub_policies import hub_policies
from gatewright.controlplane.apim.openapi import definition
from gatewright.controlplane.apim.rendering import rendered
from gatewright.controlplane.apim.yaml_writing import to_yaml
from gatewright.store.rows import ArtifactRow

GATEWAY_PROPERTY: Final = "gatewright_gateway"
"""Its value is the name under which the gateway is registered: nobody else has it at this API Manager."""

API_PROPERTY: Final = "gatewright_api"
"""Its value is the local UUID of the API at the gateway."""

CONTENT_PROPERTY: Final = "gatewright_content"
"""Its value is `Export.content`: what was sent last."""

PROJECT_VERSION: Final = "v4.7.0"
ENVIRONMENTS_VERSION: Final = "v4.3.0"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_ORDINARY_FILE: Final = 0o100644 << 16
_LEVEL: Final = 6


class Unexportable(msgspec.Struct, frozen=True):
    """The API cannot be an archive; `reason` is told to its owner, and waiting does not help."""

    reason: str


class Export(msgspec.Struct, frozen=True):
    """An API ready to be packed. `content` is a hash of all that is sent; `warnings` are for the log."""

    name: str
    version: str
    data: Mapping[str, Any]
    server: str
    environment: str
    content: str
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the content: parameters may hold what nobody should read."""
        return f"Export({self.name!r}, {self.version!r})"


def export(row: ArtifactRow, *, gateway_name: str, environment: Mapping[str, str]) -> Export | Unexportable:
    """What of `row` goes to API Manager. `environment` is what `{{ env }}` may read."""
    try:
        document = rendered(row.document, environment)
    except TemplateError as problem:
        return Unexportable(f"failed to generate API YAML: {problem.message}")
    spec: Mapping[str, Any] = document.get("spec") or {}
    upstream = spec.get("upstream") or {}
    main = str((upstream.get("main") or {}).get("url") or "").strip()
    if not main:
        return Unexportable(
            "failed to generate API YAML: failed to build API data: no upstream URL configured for endpoint"
        )
    sandbox = str((upstream.get("sandbox") or {}).get("url") or "").strip() or main
    data = _data(row, spec, main, sandbox)
    warnings = []
    extra = kept.properties(document)
    if extra is None:
        extra = []
        warnings.append("conditions and matchers are too large to be kept at API Manager")
    content = hashlib.sha256(msgspec.json.encode([data, extra, gateway_name], order="deterministic")).hexdigest()
    own = [(GATEWAY_PROPERTY, gateway_name), (API_PROPERTY, row.uuid), (CONTENT_PROPERTY, content), *extra]
    if row.deployment_id:
        own.insert(0, ("deployment_id", row.deployment_id))
    data["additionalProperties"] = [{"name": name, "value": value, "display": False} for name, value in own]
    return Export(row.display_name, row.version, data, main, gateway_name, content, tuple(warnings))


def pack(made: Export, swagger: bytes | None = None) -> bytes:
    """The archive. `swagger`: the definition as API Manager has it, taken over byte for byte; None: one is made."""
    if swagger is None:
        operations = [(item["verb"], item["target"]) for item in made.data["operations"]]
        swagger = to_yaml(definition(made.name, made.version, made.server, operations))
    environments = {
        "type": "deployment_environments",
        "version": ENVIRONMENTS_VERSION,
        "data": [{"deploymentEnvironment": made.environment, "displayOnDevportal": True}],
    }
    folder = f"{made.name}-{made.version}"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in (
            ("api.yaml", to_yaml({"type": "api", "version": PROJECT_VERSION, "data": dict(made.data)})),
            ("deployment_environments.yaml", to_yaml(environments)),
            ("Definitions/swagger.yaml", swagger),
        ):
            entry = zipfile.ZipInfo(f"{folder}/{name}", _EPOCH)
            entry.external_attr = _ORDINARY_FILE
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, _LEVEL)
    return target.getvalue()


def _data(row: ArtifactRow, spec: Mapping[str, Any], main: str, sandbox: str) -> dict[str, Any]:
    return {
        "name": row.display_name,
        "version": row.version,
        "context": resolve_version(str(spec.get("context") or ""), row.version),
        "type": "HTTP",
        "transport": ["http", "https"],
        "provider": "admin",
        "tags": [],
        "policies": ["Unlimited"],
        "securityScheme": ["oauth_basic_auth_api_key_mandatory"],
        "visibility": "PUBLIC",
        "visibleRoles": [],
        "visibleTenants": [],
        "visibleOrganizations": ["none"],
        "mediationPolicies": [],
        "apiHubPolicies": hub_policies(spec.get("policies")),
        "responseCachingEnabled": False,
        "cacheTimeout": 300,
        "hasThumbnail": False,
        "isDefaultVersion": False,
        "isRevision": False,
        "enableSchemaValidation": False,
        "revisionId": 0,
        "additionalPropertiesMap": {},
        "gatewayType": "APIPlatform",
        "gatewayVendor": "wso2",
        "endpointConfig": {
            "endpoint_type": "http",
            "production_endpoints": {"url": main},
            "sandbox_endpoints": {"url": sandbox},
        },
        "endpointImplementationType": "ENDPOINT",
        "initiatedFromGateway": True,
        "operations": [_operation(operation) for operation in spec.get("operations") or ()],
    }


def _operation(operation: Mapping[str, Any]) -> dict[str, Any]:
    method, path, _, _ = written_form(operation)
    return {
        "id": "",
        "target": path,
        "verb": method.upper(),
        "authType": "Application & Application User",
        "throttlingPolicy": "Unlimited",
        "scopes": [],
        "usedProductIds": [],
        "payloadSchema": None,
        "uriMapping": None,
        "operationPolicies": {"request": [], "response": [], "fault": []},
        "operationHubPolicies": hub_policies(operation.get("policies")),
    }
