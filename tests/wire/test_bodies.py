"""REST bodies, the well-known document, paths and error bodies."""

import json

import pytest

from gatewright.wire import (
    apikeys,
    codec,
    deployments,
    discovery,
    errors,
    manifest,
    paths,
    platform_secrets,
    subscriptions,
)
from gatewright.wire.failures import Undecodable
from gatewright.wire.identifiers import api_key_etag
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.times import Timestamp


@pytest.mark.parametrize(
    ("received", "used"),
    [
        ("internal/data/v1", "/internal/data/v1"),
        ("/internal/data/v1/", "/internal/data/v1"),
        (" internal/data/v1 ", "/internal/data/v1"),
        ("  //a/b//  ", "/a/b"),
    ],
)
def test_gateway_paths_are_normalised(received: str, used: str) -> None:
    body = json.dumps({"gatewayPath": received, "controlPlane": {"type": "APIM"}}).encode()
    assert discovery.decode_gateway_path(body) == used


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"gatewayPath":""}', b'{"gatewayPath":"/"}', b'{"gatewayPath":"  "}',
             b'{"gatewayPath":5}', b'{"gatewayPath":null}'],
)  # fmt: skip
def test_other_well_known_documents_are_a_failed_discovery(body: bytes) -> None:
    assert isinstance(discovery.decode_gateway_path(body), Undecodable)


def test_deployment_rows_as_the_platform_writes_them() -> None:
    body = b"""{ "deployments": [
      { "artifactId": "23826f9e", "deploymentId": "0198f1d2", "kind": "RestApi", "state": "Deployed",
        "deployedAt": "2026-08-01T10:15:30.123Z", "etag": "e", "new": 1 }, {"artifactId": "b", "state": "paused"} ] }"""
    answer = deployments.decode_deployment_list(body)
    assert isinstance(answer, deployments.DeploymentList)
    first, second = answer.deployments
    assert first.deployed_at == Timestamp.parse("2026-08-01T10:15:30.123Z")
    assert deployments.desired_state(first) is True
    assert deployments.desired_state(second) is None
    assert deployments.decode_deployment_list(b'{"deployments":null}') == deployments.DeploymentList()
    assert codec.decode(codec.encode(answer), deployments.DeploymentList, "copy") == answer


def test_only_what_is_said_to_exist_exists() -> None:
    body = b'{"artifacts":[{"artifactId":"a","exists":true},{"artifactId":"b","exists":false}]}'
    assert deployments.decode_existing(body) == {"a"}


def test_plans_subscriptions_and_keys_are_bare_arrays() -> None:
    plans = subscriptions.decode_plans(
        b'[{"id":"p","planName":"Gold","throttleLimitCount":10,"billingPlan":"x","expiryTime":null}]'
    )
    assert isinstance(plans, tuple)
    assert plans[0].throttle_limit_count == 10
    assert subscriptions.decode_plans(b"null") == ()
    rows = subscriptions.decode_subscriptions(b'[{"id":"s","subscriptionToken":"plain"}]')
    assert isinstance(rows, tuple)
    assert "plain" not in repr(rows)
    failure = subscriptions.decode_subscriptions(b'[{"id":"s"},{"id":5}]')
    assert isinstance(failure, Undecodable)
    assert failure.where == "$[1].id"
    assert isinstance(apikeys.decode_api_keys(b'{"list":[]}'), Undecodable)


def test_keys_that_are_not_active_or_have_no_hash_are_not_usable() -> None:
    body = b"""[{"name":"k","artifactUuid":"a","status":"active","apiKeyHashes":{"sha256":"9f"},
                 "updatedAt":"2026-08-01T10:15:30Z"},
                {"status":"revoked","apiKeyHashes":{"sha256":"9f"}}, {"status":"active","apiKeyHashes":null}]"""
    keys = apikeys.decode_api_keys(body)
    assert isinstance(keys, tuple)
    assert [key.usable for key in keys] == [True, False, False]
    assert keys[0].etag_or_derived() == api_key_etag("a", "k", Timestamp.parse("2026-08-01T10:15:30Z"))


def test_secrets_stay_out_of_texts() -> None:
    answer = platform_secrets.decode_secrets(b'{"list":[{"handle":"h","status":"ACTIVE","value":"s3cr3t"}],"count":1}')
    assert isinstance(answer, platform_secrets.SecretList)
    assert answer.list[0].value == "s3cr3t"
    assert "s3cr3t" not in repr(answer)
    assert platform_secrets.decode_secret_value(b'{"value":""}') == ""
    assert isinstance(platform_secrets.decode_secret_value(b"{}"), Undecodable)


def test_manifest_shape() -> None:
    empty = manifest.Manifest(version="1.2.0", functionality_type="regular")
    assert json.loads(codec.encode(empty)) == {"version": "1.2.0", "functionalityType": "regular", "policies": []}
    assert json.loads(codec.encode(manifest.Manifest())) == {"policies": []}
    body = b'{"policies":[{"name":"x","version":"v1","parameters":{"TYPE":"object"}}]}'
    decoded = manifest.decode_manifest(body)
    assert isinstance(decoded, manifest.Manifest)
    assert (decoded.version_or_default, decoded.functionality_or_default) == ("1.0.0", "regular")
    assert decoded.policies[0].parameters == {"TYPE": "object"}


def test_paths() -> None:
    assert paths.websocket_url("cp:9243") == "wss://cp:9243/api/internal/v1/ws/gateways/connect"
    assert paths.websocket_url("cp", "/internal/data/v1") == "wss://cp/internal/data/v1/ws/gateways/connect"
    assert paths.rest_base("cp") == "https://cp/api/internal/v1"
    assert paths.definition(ArtifactKind.MCP, "x") == "/mcp-proxies/x"
    assert paths.api_keys(ArtifactKind.REST_API) == "/apis/api-keys"
    assert paths.api_keys(ArtifactKind.REST_API, "api portal") == "/apis/api-keys?issuer=api+portal"
    assert paths.secrets(include_values=True) == "/secrets?includeValues=true"
    with pytest.raises(ValueError, match="LlmProviderTemplate"):
        paths.definition(ArtifactKind.LLM_PROVIDER_TEMPLATE, "x")


@pytest.mark.parametrize("hostile", ["../../admin", "a?b", "a#b", "..", ".", "a/b"])
def test_ids_cannot_leave_their_segment(hostile: str) -> None:
    path = paths.definition(ArtifactKind.REST_API, hostile)
    assert path.count("/") == 2
    assert not {"?", "#"} & set(path)
    assert path.rsplit("/", 1)[1] not in {"", ".", ".."}


def test_error_bodies() -> None:
    assert json.loads(errors.internal_error(404, "gone")) == {
        "code": 404, "message": "Not Found", "description": "gone",
    }  # fmt: skip
    assert json.loads(errors.public_error("UNAUTHORIZED", "no")) == {
        "status": "error", "code": "UNAUTHORIZED", "message": "no",
    }  # fmt: skip
    assert json.loads(errors.capacity_message(1000))["message"] == "maximum connection limit reached (1000)"
