"""Acknowledgements say what the data plane says, in time, once, and nothing of what is past."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from controlplane_lab import until

from gatewright.controlplane import acks as module
from gatewright.controlplane.acks import Acknowledger
from gatewright.controlplane.journal import Journal
from gatewright.deployment.results import Change, Serving
from gatewright.wire.events import DeploymentEvent
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.times import Timestamp

NOW = datetime(2026, 8, 1, 10, 15, 40, tzinfo=UTC)
CHANGE = Change(seq=1, kind="RestApi", entity_id="a", artifact_id="a", action="UPDATE", correlation_id="c", at=NOW)


def event(deployment="d1", at="2026-08-01T10:15:30Z", *, artifact="a", deployed=True) -> DeploymentEvent:
    return DeploymentEvent(
        kind=ArtifactKind.REST_API,
        artifact_id=artifact,
        deployed=deployed,
        deployment_id=deployment,
        performed_at=Timestamp.parse(at) if at else None,
    )


class Stub:
    """The two things that an acknowledgement depends on, answered as a test wants."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Serving] = asyncio.Queue()
        self.patience: list[float] = []
        self.sent: list[dict] = []
        self.is_connected = True

    async def served(self, change, timeout):  # noqa: ASYNC109 - as the write path has it
        self.patience.append(timeout)
        return await self.answers.get()

    async def send(self, text: str) -> bool:
        if self.is_connected:
            self.sent.append(json.loads(text)["payload"])
        return self.is_connected


@pytest.fixture
def stub():
    return Stub()


@pytest.fixture
async def acks(stub):
    made = Acknowledger(stub, stub.send, clock=lambda: NOW, journal=Journal())
    yield made
    await made.stop()


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("serving", "status"),
    [
        (Serving("served", 2), "success"),
        (Serving("stored"), "success"),
        (Serving("refused", 0, "Envoy says no"), "failed"),
    ],
)
async def test_the_words_of_the_data_plane(stub, acks, serving, status):
    acks.applied(event(), CHANGE, correlation_id="c", received=now())
    await asyncio.sleep(0)
    assert not stub.sent, "nothing is said before anything is known"
    stub.answers.put_nowait(serving)
    await until(lambda: stub.sent)
    assert stub.sent[0]["status"] == status
    assert stub.sent[0].get("errorCode") == ("GATEWAY_PROCESSING_ERROR" if status == "failed" else None)


@pytest.mark.parametrize("at", ["2026-08-01T10:15:40Z", "2026-08-01T10:14:00Z", "2020-01-01T00:00:00Z", ""])
async def test_nothing_is_called_failed_for_being_slow(stub, acks, at):
    """A control plane would keep the failure, although the deployment serves a moment later."""
    acks.applied(event(at=at), CHANGE, correlation_id="c", received=now() - 100)
    for late in range(3):
        stub.answers.put_nowait(Serving("timeout", 1, "not all routers have answered"))
        await until(lambda late=late: len(stub.patience) == late + 2)
    assert not stub.sent
    assert acks.owed == 1
    stub.answers.put_nowait(Serving("served", 2))
    await until(lambda: stub.sent)
    assert stub.sent[0]["status"] == "success"
    assert acks.owed == 0


async def test_what_is_refused_late_is_still_said_to_be(stub, acks):
    acks.applied(event(), CHANGE, correlation_id="c", received=now())
    stub.answers.put_nowait(Serving("timeout", 0, "the change has not been rolled out yet"))
    stub.answers.put_nowait(Serving("refused", 0, "Envoy says no"))
    await until(lambda: stub.sent)
    assert [ack["status"] for ack in stub.sent] == ["failed"]
    assert acks.denied(event())


async def test_a_newer_deployment_ends_the_wait_for_an_older_one(stub, acks):
    acks.applied(event("d1"), CHANGE, correlation_id="c", received=now())
    await asyncio.sleep(0)
    acks.applied(event("d2", "2026-08-01T10:15:31Z"), CHANGE, correlation_id="c", received=now())
    stub.answers.put_nowait(Serving("served", 1))
    await until(lambda: stub.sent)
    assert [ack["deploymentId"] for ack in stub.sent] == ["d2"]
    assert acks.owed == 0


async def test_a_deletion_ends_every_wait(stub, acks):
    acks.applied(event(), CHANGE, correlation_id="c", received=now())
    await asyncio.sleep(0)
    acks.deleted("a")
    await asyncio.sleep(0)
    assert acks.owed == 0
    assert not stub.sent


async def test_what_cannot_be_sent_waits_and_only_the_newest_is_sent(stub, acks):
    stub.is_connected = False
    acks.outcome(event("d1"), correlation_id="c", received=now())
    await until(lambda: acks.owed == 1)
    acks.outcome(event("d2", "2026-08-01T10:15:31Z"), correlation_id="c", received=now(), error_code="X")
    await asyncio.sleep(0.01)
    assert acks.owed == 1
    stub.is_connected = True
    acks.resend()
    await until(lambda: stub.sent)
    assert [(ack["deploymentId"], ack["status"]) for ack in stub.sent] == [("d2", "failed")]
    assert acks.owed == 0


async def test_what_was_sent_shortly_before_the_connection_was_lost_is_in_doubt(stub, acks, monkeypatch):
    for artifact in ("a", "b", "c"):
        acks.outcome(event(artifact=artifact), correlation_id="c", received=now())
    await until(lambda: len(stub.sent) == 3)
    acks.forget("b")
    acks.lost()
    stub.is_connected = False
    acks.outcome(event("d2", "2026-08-01T10:15:31Z", artifact="c"), correlation_id="c", received=now())
    await until(lambda: not acks._sends)
    assert acks.owed == 2
    stub.is_connected = True
    acks.resend()
    await until(lambda: len(stub.sent) == 5)
    assert {(ack["artifactId"], ack["deploymentId"]) for ack in stub.sent[3:]} == {("a", "d1"), ("c", "d2")}
    monkeypatch.setattr(module, "IN_DOUBT", -1.0)
    acks.lost()
    assert acks.owed == 0


async def test_a_failure_can_be_taken_back(stub, acks):
    acks.outcome(event(), correlation_id="c", received=now(), error_code="X")
    assert acks.denied(event())
    assert not acks.denied(event(at="2026-08-01T10:15:31Z"))
    acks.applied(event(), CHANGE, correlation_id="c", received=now())
    assert not acks.denied(event())
    stub.answers.put_nowait(Serving("served", 1))
    await until(lambda: len(stub.sent) == 2)
    assert not acks.denied(event())


async def test_what_was_said_is_remembered(stub, acks):
    assert not acks.said(event())
    acks.outcome(event(), correlation_id="c", received=now())
    assert acks.said(event())
    assert not acks.said(event(at="2026-08-01T10:15:31Z"))
