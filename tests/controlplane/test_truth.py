"""What was said wrongly, or said into a dead connection, is put right; what was missed is looked for soon."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from controlplane_hostile import Hostile
from controlplane_lab import rest_api, until

from gatewright.controlplane import plane as planes
from gatewright.wire.archives import write_batch, write_definition

BASE = "/api/internal/v1"
AT = "2026-08-01T10:15:30.123Z"


class Listed:
    """A control plane that lists one API, in the state that the test wants."""

    def __init__(self, hostile: Hostile) -> None:
        self.row = {"artifactId": "a", "deploymentId": "d1", "kind": "RestApi", "state": "DEPLOYED", "deployedAt": AT}
        document = json.dumps(rest_api("mine")).encode()
        hostile.answers["GET", f"{BASE}/apis/a"] = (200, write_definition("api.yaml", document))
        hostile.answers["GET", f"{BASE}/deployments"] = lambda _request: (200, {"deployments": [self.row]})
        self.batch = (200, write_batch({"d1": ("api-a.yaml", document)}))
        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = lambda _request: self.batch


@pytest.fixture
def listed(hostile):
    return Listed(hostile)


def event(kind: str = "api.deployed", *, at: str = AT, deployment: str = "d1"):
    return kind, {"apiId": "a", "deploymentId": deployment, "performedAt": at}


async def acknowledged(peer) -> tuple[str, str, str]:
    ack = (await peer.message())["payload"]
    return ack["action"], ack["status"], ack["performedAt"]


async def settled(plane) -> None:
    await until(lambda: plane.status().last_reconcile and plane._dispatcher.busy == 0 and plane._acks.owed == 0)


async def test_what_was_acknowledged_into_a_dying_connection_is_said_again(site, hostile, hostile_settings, listed):
    """Nobody knows whether it arrived: TCP takes it gladly long after the other side has gone."""
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await settled(plane)
        first = await acknowledged(peer)
        peer.abort()
        peer = await hostile.peer()
        assert await acknowledged(peer) == first == ("deploy", "success", AT)
        await settled(plane)
        peer.event("api.deleted", {"apiId": "a"})
        await until(lambda: site_is_empty(site))
        listed.row = {**listed.row, "artifactId": "nobody", "state": "UNDEPLOYED"}
        peer.abort()
        peer = await hostile.peer()
        await settled(plane)
        await asyncio.sleep(0.05)
        assert peer.frames.empty(), "nothing is to be said of what is deleted"


async def site_is_empty(site) -> bool:
    return await site.row("mine") is None


@pytest.mark.conforms("CP-100")
async def test_a_reconcile_corrects_what_was_called_failed(site, hostile, hostile_settings, listed):
    """The way to the definition was broken for a while; by now the deployment serves."""
    good, listed.batch = listed.batch, (404, b"")
    hostile.answers["GET", f"{BASE}/apis/a"] = (404, b"")
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await until(lambda: plane.status().last_reconcile)
        peer.event(*event())
        assert await acknowledged(peer) == ("deploy", "failed", AT)
        listed.batch = good
        await plane.reconcile()
        assert await acknowledged(peer) == ("deploy", "success", AT)
        await plane.reconcile()
        await asyncio.sleep(0.05)
        assert peer.frames.empty(), "once is enough"


async def test_an_undeployment_that_overtook_its_deployment(site, hostile, hostile_settings, listed):
    """`DEPLOYMENT_ID_MISMATCH` when it came; the reconcile takes the API away, and says so."""
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await settled(plane)
        await acknowledged(peer)
        later = "2026-08-01T10:15:32.5Z"
        peer.event(*event("api.undeployed", at=later, deployment="d2"))
        assert await acknowledged(peer) == ("undeploy", "failed", later)
        listed.row |= {"deploymentId": "d2", "state": "UNDEPLOYED", "deployedAt": later}
        await plane.reconcile()
        assert await acknowledged(peer) == ("undeploy", "success", later)
        assert (await site.row("mine")).desired_state == "undeployed"


async def test_an_undeployment_of_what_is_undeployed_already_or_was_never_here(site, hostile, hostile_settings, listed):
    """Deployed and undeployed again while nobody listened: the event is a mismatch, but the state is right."""
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await settled(plane)
        await acknowledged(peer)
        peer.event(*event("api.undeployed", at="2026-08-01T10:15:31.5Z"))
        assert (await acknowledged(peer))[:2] == ("undeploy", "success")
        later = "2026-08-01T10:15:32.5Z"
        listed.row |= {"deploymentId": "d2", "state": "UNDEPLOYED", "deployedAt": later}
        peer.event(*event("api.undeployed", at=later, deployment="d2"))
        assert await acknowledged(peer) == ("undeploy", "failed", later)
        await plane.reconcile()
        assert await acknowledged(peer) == ("undeploy", "success", later)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        listed.row |= {"artifactId": "never", "deploymentId": "d3", "deployedAt": now}
        await plane.reconcile()
        assert (await acknowledged(peer))[:2] == ("undeploy", "success")


async def test_a_missed_event_is_followed_by_a_reconcile(site, hostile, hostile_settings, listed, monkeypatch):
    monkeypatch.setattr(planes, "MEND_AFTER", 0.05)
    row, listed.row = listed.row, {**listed.row, "artifactId": "nobody", "state": "UNDEPLOYED"}
    hostile.answers["GET", f"{BASE}/apis/a"] = (404, b"")
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await settled(plane)
        listed.row = row
        peer.event(*event())
        await until(lambda: plane.status().last_reconcile.trigger == "missed")
        assert (await site.row("mine")).deployment_id == "d1"


async def test_an_incomplete_reconcile_is_repeated_with_growing_waits(
    site, hostile, hostile_settings, listed, monkeypatch
):
    monkeypatch.setattr(planes, "MEND_AFTER", 0.02)
    good, listed.batch = listed.batch, (500, b"")
    async with site.linked(hostile_settings(), random=lambda: 1.0) as plane:
        await until(lambda: len(hostile.asked("/fetch-batch")) >= 4)
        assert plane.status().last_reconcile.trigger == "retry"
        listed.batch = good
        await until(lambda: site.deployments.status("a").state == "stored")
        count = len(hostile.asked("/deployments"))
        await asyncio.sleep(0.3)
        assert len(hostile.asked("/deployments")) <= count + 1, "a complete one is not repeated"
