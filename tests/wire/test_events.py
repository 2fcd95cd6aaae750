"""Reading and writing of events: tolerant of what is unknown, strict about what is known."""

import json
from typing import Any

import pytest

from gatewright.wire import events
from gatewright.wire.envelope import Envelope, EventTooLarge, decode_envelope, encode_envelope
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.times import Timestamp

AT = Timestamp.parse("2026-08-01T10:15:30.123Z")


def _decoded(message: dict[str, Any]) -> events.Payload | Undecodable:
    envelope = decode_envelope(json.dumps(message))
    assert isinstance(envelope, Envelope)
    return events.decode_payload(envelope)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null", "3", "{", '"x"', "[" * 200_000, b"\xff\xfe{}"])
def test_what_is_no_object_is_said_to_be_none(text: str | bytes) -> None:
    failure = decode_envelope(text)
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.NOT_JSON


@pytest.mark.parametrize("text", ["{}", '{"type": 5}', '{"type": null}', '{"type": ""}'])
def test_a_message_needs_a_type(text: str) -> None:
    failure = decode_envelope(text)
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.UNTYPED


def test_a_wrong_known_member_of_the_envelope_fails_it() -> None:
    failure = decode_envelope('{"type": "api.deployed", "payload": {}, "correlationId": 7}')
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.WRONG_SHAPE
    assert failure.where == "$.correlationId"


@pytest.mark.parametrize(
    ("kind", "event", "member"),
    [
        (ArtifactKind.REST_API, "api", "apiId"),
        (ArtifactKind.LLM_PROVIDER, "llmprovider", "providerId"),
        (ArtifactKind.LLM_PROXY, "llmproxy", "proxyId"),
        (ArtifactKind.MCP, "mcpproxy", "proxyId"),
        (ArtifactKind.WEBSUB_API, "websub", "apiId"),
        (ArtifactKind.WEBBROKER_API, "webbroker", "apiId"),
    ],
)
@pytest.mark.parametrize("change", ["deployed", "undeployed", "deleted"])
def test_lifecycle_events_of_every_kind(kind: ArtifactKind, event: str, member: str, change: str) -> None:
    payload = {member: "id-1", "deploymentId": "d-1", "performedAt": "2026-08-01T10:15:30.123Z", "later": [1]}
    decoded = _decoded({"type": f"{event}.{change}", "payload": payload, "unknown": {}})
    expected: events.Payload
    if change == "deleted":
        expected = events.DeletionEvent(kind=kind, artifact_id="id-1")
    else:
        expected = events.DeploymentEvent(
            kind=kind, artifact_id="id-1", deployed=change == "deployed", deployment_id="d-1", performed_at=AT
        )
    assert decoded == expected
    assert events.lifecycle_type(expected) == f"{event}.{change}"
    assert events.lifecycle_payload(expected)[member] == "id-1"


def test_absent_null_and_zero_times_are_no_time() -> None:
    for payload in ({}, {"performedAt": None}, {"performedAt": "0001-01-01T00:00:00Z"}):
        decoded = _decoded({"type": "api.deployed", "payload": {"apiId": "a", **payload}})
        assert isinstance(decoded, events.DeploymentEvent)
        assert decoded.performed_at is None


@pytest.mark.parametrize(
    ("kind", "payload", "where"),
    [
        ("api.deployed", {"apiId": 7}, "$.apiId"),
        ("api.deployed", {"apiId": "a", "performedAt": "soon"}, "$.performedAt"),
        ("api.deployed", {"apiId": "a", "performedAt": 17}, "$.performedAt"),
        ("api.deployed", [], ""),
        ("api.deployed", "text", ""),
        ("subscriptionPlan.created", {"planId": "p", "planName": "n", "throttleLimitCount": 1.5},
         "$.throttleLimitCount"),
        ("subscriptionPlan.created", {"planId": "p", "planName": "n", "expiryTime": "never"}, "$.expiryTime"),
        ("apikey.created", {"apiId": "a", "apiKeyHashes": {"sha256": "secret-hash"}}, "$.apiKeyHashes"),
        ("application.updated", {"mappings": [{"apiKeyUuid": 1}]}, "$.mappings[0].apiKeyUuid"),
    ],
)  # fmt: skip
def test_wrong_types_fail_the_event_without_quoting_it(kind: str, payload: object, where: str) -> None:
    failure = _decoded({"type": kind, "payload": payload})
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.WRONG_SHAPE
    assert failure.where == where
    assert "secret-hash" not in str(failure)


@pytest.mark.parametrize(
    ("kind", "payload", "missing"),
    [
        ("api.deployed", {"apiId": ""}, "apiId"),
        ("api.deleted", None, "apiId"),
        ("llmproxy.deployed", {"apiId": "wrong member"}, "proxyId"),
        ("apikey.created", {"apiId": "a"}, "apiKeyHashes"),
        ("apikey.revoked", {"apiId": "a", "keyName": ""}, "keyName"),
        ("application.updated", {"applicationId": "a", "applicationUuid": "b", "applicationName": "c"},
         "applicationType"),
        ("subscription.created", {"apiId": "a", "subscriptionId": "s"}, "subscriptionToken"),
        ("subscriptionPlan.deleted", {"planName": "n"}, "planId"),
    ],
)  # fmt: skip
def test_empty_ids_are_refused(kind: str, payload: object, missing: str) -> None:
    failure = _decoded({"type": kind, "payload": payload})
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.MISSING_ID
    assert failure.where == f"$.payload.{missing}"


def test_member_names_match_regardless_of_case_but_exactly_first() -> None:
    decoded = _decoded({"type": "apikey.revoked", "payload": {"APIID": "upper", "apiId": "exact", "KeyName": "k"}})
    assert decoded == events.ApiKeyRevoked(api_id="exact", key_name="k")


def test_event_types_are_compared_with_case() -> None:
    failure = _decoded({"type": "subscriptionplan.created", "payload": {}})
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.UNKNOWN_TYPE


def test_key_event_members() -> None:
    decoded = _decoded(
        {
            "type": "apikey.created",
            "payload": {
                "uuid": "u", "apiId": "a", "name": "orders-key", "apiKeyHashes": '{"sha256":"9f86"}',
                "maskedApiKey": "apip_****0a08", "externalRefId": None, "expiresAt": "2027-01-01T00:00:00Z",
                "expiresIn": {"duration": 30, "unit": "days"}, "issuer": "api-portal",
                "createdAt": "2026-08-01T10:15:30Z", "updatedAt": "2026-08-01T10:15:30Z",
            },
        },
    )  # fmt: skip
    assert isinstance(decoded, events.ApiKeyCreated)
    assert decoded.api_key_hashes == '{"sha256":"9f86"}'
    assert decoded.expires_in == events.ExpiresIn(duration=30, unit="days")
    assert decoded.external_ref_id is None


def test_an_event_survives_writing_and_reading() -> None:
    event = events.DeploymentEvent(
        kind=ArtifactKind.REST_API, artifact_id="a", deployed=True, deployment_id="d", performed_at=AT
    )
    text = encode_envelope(
        events.lifecycle_type(event), events.lifecycle_payload(event), correlation_id="c", at=AT, user_id="alice"
    )
    assert json.loads(text) == {
        "type": "api.deployed",
        "payload": {"apiId": "a", "deploymentId": "d", "performedAt": "2026-08-01T10:15:30.123Z"},
        "timestamp": "2026-08-01T10:15:30Z",
        "correlationId": "c",
        "userId": "alice",
    }
    envelope = decode_envelope(text)
    assert isinstance(envelope, Envelope)
    assert events.decode_payload(envelope) == event


def test_events_beyond_a_mebibyte_are_not_written() -> None:
    with pytest.raises(EventTooLarge, match="1048576"):
        encode_envelope("api.deployed", {"apiId": "x" * 1_048_576}, correlation_id="c", at=AT)


def test_subscription_tokens_stay_out_of_texts() -> None:
    decoded = _decoded(
        {"type": "subscription.created",
         "payload": {"apiId": "a", "subscriptionId": "s", "subscriptionToken": "plain-token"}},
    )  # fmt: skip
    assert isinstance(decoded, events.SubscriptionCreated)
    assert decoded.subscription_token == "plain-token"
    assert "plain-token" not in repr(decoded)
    assert events.carries_secret("subscription.created")
    assert not events.carries_secret("subscriptionPlan.created")
