"""API projects as a gateway would upload them, written here by hand and by nobody else's code."""

import io
import json
import zipfile
from typing import Any


def api_data(name: str = "City Weather", version: str = "v2.1", **changed: Any) -> dict[str, Any]:
    """The `data` of an `api.yaml`."""
    return {
        "name": name,
        "version": version,
        "context": f"/{name.lower().replace(' ', '-')}/{version}",
        "type": "HTTP",
        "transport": ["http", "https"],
        "provider": "admin",
        "policies": ["Unlimited"],
        "gatewayType": "APIPlatform",
        "gatewayVendor": "wso2",
        "initiatedFromGateway": True,
        "endpointConfig": {
            "endpoint_type": "http",
            "production_endpoints": {"url": "http://weather-backend:9080/base"},
            "sandbox_endpoints": {"url": "http://weather-backend:9080/base"},
        },
        "apiHubPolicies": [
            {
                "policyName": "api-key-auth",
                "policyId": "05608028-0fed-56f2-a22c-d4074532a12e",
                "policyVersion": "1.0",
                "policyType": None,
                "parameters": {"in": "header", "key": "X-API-Key"},
            }
        ],
        "operations": [
            {"id": "", "target": "/now/{city}", "verb": "GET", "operationHubPolicies": []},
            {"id": "", "target": "/alerts", "verb": "POST", "operationHubPolicies": []},
        ],
        **changed,
    }


def definition(data: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI definition with the operations of `data`."""
    paths: dict[str, Any] = {}
    for operation in data["operations"]:
        names = [part.partition("}")[0] for part in operation["target"].split("{")[1:]]
        parameters = [{"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in names]
        paths.setdefault(operation["target"], {})[operation["verb"].lower()] = {
            "responses": {"200": {"description": "Successful response"}},
            **({"parameters": parameters} if parameters else {}),
        }
    return {"openapi": "3.0.0", "info": {"title": data["name"], "version": data["version"]}, "paths": paths}


def documents(data: dict[str, Any], *environments: str) -> dict[str, bytes]:
    """The three documents of a project (JSON, which is YAML too) by their names in the archive."""
    folder = f"{data['name']}-{data['version']}"
    targets = [{"deploymentEnvironment": name, "displayOnDevportal": True} for name in environments]
    return {
        f"{folder}/api.yaml": json.dumps({"type": "api", "version": "v4.7.0", "data": data}).encode(),
        f"{folder}/deployment_environments.yaml": json.dumps(
            {"type": "deployment_environments", "version": "v4.3.0", "data": targets}
        ).encode(),
        f"{folder}/Definitions/swagger.yaml": json.dumps(definition(data)).encode(),
    }


def archive(entries: dict[str, bytes]) -> bytes:
    """A ZIP of entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def project(*environments: str, **changed: Any) -> bytes:
    """A whole project."""
    return archive(documents(api_data(**changed), *environments))
