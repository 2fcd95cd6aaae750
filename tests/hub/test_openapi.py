"""RestApi documents out of OpenAPI documents."""

from typing import Any

import pytest
import yaml

from gatewright.hub import openapi
from gatewright.hub.documents import as_yaml, read_rest_api
from gatewright.hub.openapi import OpenApiProblem, Options

POLICY = {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}}


def _document(**changed: Any) -> dict[str, Any]:
    return {
        "openapi": "3.0.3",
        "info": {"title": "Orders & more", "version": "2.3.4-rc1"},
        "servers": [{"url": "https://{host}/base/", "variables": {"host": {"default": "orders.example.com"}}}],
        "paths": {"/items": {"get": {}, "post": {}}, "/items/{id}": {"parameters": [], "delete": {}, "trace": {}}},
        **changed,
    }


def _spec(document: dict[str, Any], **options: Any) -> dict[str, Any]:
    spec: dict[str, Any] = openapi.convert(document, Options(**options)).document["spec"]
    return spec


def test_paths_become_operations_and_the_first_server_the_upstream() -> None:
    converted = openapi.convert(_document(), Options())
    assert converted.document["metadata"] == {"name": "orders-more-v2.3"}
    spec = converted.document["spec"]
    assert (spec["displayName"], spec["version"], spec["context"]) == ("Orders more", "v2.3", "/orders-more/$version")
    assert spec["upstream"] == {"main": {"url": "https://orders.example.com/base"}}
    assert spec["operations"] == [
        {"method": "GET", "path": "/items"},
        {"method": "POST", "path": "/items"},
        {"method": "DELETE", "path": "/items/{id}"},
    ]
    assert "policies" not in spec
    assert converted.notes == ("paths./items/{id}.trace: left out, the gateway does not route TRACE",)
    assert read_rest_api(as_yaml(converted.document).encode()).handle == "orders-more-v2.3"


def test_options_win_over_the_document() -> None:
    options = Options(handle="h", context="/c", upstream="http://b:1", project="default")
    document = openapi.convert(_document(servers=None), options).document
    assert document["metadata"] == {
        "name": "h", "annotations": {"gateway.api-platform.wso2.com/project-id": "default"},
    }  # fmt: skip
    assert document["spec"]["context"] == "/c"
    assert document["spec"]["upstream"] == {"main": {"url": "http://b:1"}}


@pytest.mark.parametrize(
    ("version", "expected"), [("1", "v1.0"), ("v1.2", "v1.2"), (1.0, "v1.0"), ("latest", "v1.0"), (None, "v1.0")]
)
def test_versions_take_the_form_that_gateways_accept(version: object, expected: str) -> None:
    assert _spec(_document(info={"title": "T", "version": version}))["version"] == expected


def test_security_of_the_document_decides_where_a_key_is_needed() -> None:
    schemes = {"components": {"securitySchemes": {"k": {"type": "apiKey"}, "o": {"type": "oauth2"}}}}
    whole = _spec(_document(security=[{"k": []}], **schemes))
    assert whole["policies"] == [POLICY]
    assert all("policies" not in operation for operation in whole["operations"])
    paths = {"/a": {"get": {"security": []}, "put": {}, "post": {"security": [{"o": []}]}, "head": {"security": [{}]}}}
    mixed = _spec(_document(security=[{"k": []}], paths=paths, **schemes))
    assert "policies" not in mixed
    assert [operation.get("policies") for operation in mixed["operations"]] == [None, [POLICY], None, None]
    assert "policies" not in _spec(_document(security=[{"k": []}], **schemes), protect="never")
    other = _spec(_document(), protect="always", key_header="X-Key")
    assert other["policies"][0]["params"] == {"key": "X-Key", "in": "header"}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (None, "not a mapping"),
        ({"swagger": "2.0"}, "version 2 is not read"),
        ({"openapi": "4.0"}, "must be 3.x"),
        (_document(info={}), "info.title"),
        (_document(servers=[{"url": "/relative"}]), "give an upstream"),
        (_document(servers=[{"url": "ftp://x"}]), "give an upstream"),
        (_document(servers=[{"url": "http://[broken"}]), "give an upstream"),
        (_document(paths={}), "hold no operation"),
        (_document(paths=[1]), "hold no operation"),
        (_document(paths={"/a{b": {"get": {}}}), "unbalanced braces"),
        (_document(paths={"/a": {"$ref": "other.yaml"}}), "references to other files"),
    ],
)
def test_what_cannot_be_converted_is_named(document: object, problem: str) -> None:
    with pytest.raises(OpenApiProblem, match=problem):
        openapi.convert(document, Options())


def test_the_sample_is_a_pet_store_that_needs_a_key() -> None:
    document = yaml.safe_load(openapi.petstore())
    spec = _spec(document)
    assert spec["displayName"] == "Pet Store"
    assert spec["policies"] == [POLICY]
    assert {"method": "GET", "path": "/pet/{petId}"} in spec["operations"]
    assert len(spec["operations"]) == 15
