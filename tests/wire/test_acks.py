"""Both acknowledgements."""

import json

import pytest

from gatewright.wire import acks
from gatewright.wire.envelope import Envelope, decode_envelope
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.times import Timestamp

AT = Timestamp.parse("2026-08-01T10:15:30.123456789+05:30")


def test_connection_ack_round_trip() -> None:
    text = acks.encode_connection_ack("gateway", "connection", Timestamp.parse("2026-08-01T10:15:30Z"))
    assert json.loads(text) == {
        "type": "connection.ack",
        "gatewayId": "gateway",
        "connectionId": "connection",
        "timestamp": "2026-08-01T10:15:30Z",
    }
    ack = acks.decode_connection_ack(text.encode())
    assert isinstance(ack, acks.ConnectionAck)
    assert (ack.gateway_id, ack.connection_id) == ("gateway", "connection")


def test_an_ack_without_ids_is_accepted() -> None:
    assert acks.decode_connection_ack('{"type":"connection.ack","more":1}') == acks.ConnectionAck()


@pytest.mark.parametrize("text", ['{"type":"error","message":"full"}', '{"gatewayId":"g"}', '{"type":"api.deployed"}'])
def test_another_first_message_is_no_ack(text: str) -> None:
    failure = acks.decode_connection_ack(text)
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.UNKNOWN_TYPE


def test_deployment_ack_repeats_the_time_exactly() -> None:
    ack = acks.DeploymentAck(
        deployment_id="d", artifact_id="a", resource_type="api", action="deploy", status="success", performed_at=AT
    )
    message = json.loads(acks.encode_deployment_ack(ack))
    assert message == {
        "type": "deployment.ack",
        "payload": {
            "deploymentId": "d", "artifactId": "a", "resourceType": "api", "action": "deploy", "status": "success",
            "performedAt": "2026-08-01T10:15:30.123456789+05:30",
        },
    }  # fmt: skip
    envelope = decode_envelope(acks.encode_deployment_ack(ack))
    assert isinstance(envelope, Envelope)
    assert acks.decode_deployment_ack(envelope) == ack


def test_a_failed_ack_names_the_code_and_a_missing_time_is_the_zero_time() -> None:
    ack = acks.DeploymentAck(artifact_id="a", status="failed", error_code=acks.PROCESSING_ERROR)
    payload = json.loads(acks.encode_deployment_ack(ack))["payload"]
    assert payload["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    assert payload["performedAt"] == "0001-01-01T00:00:00Z"
    assert payload["deploymentId"] == ""


@pytest.mark.parametrize("payload", [None, {}, {"artifactId": "a"}, {"deploymentId": "d"}])
def test_a_received_ack_needs_both_ids(payload: object) -> None:
    failure = acks.decode_deployment_ack(Envelope(type="deployment.ack", payload=payload))
    assert isinstance(failure, Undecodable)
    assert failure.code is WireFault.MISSING_ID
