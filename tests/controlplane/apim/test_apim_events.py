"""What an API Manager says about APIs that were made at this gateway and that it knows under an id of its own."""

import asyncio
import hashlib
import json
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from controlplane_lab import rest_api, until

from gatewright.deployment import Caller, KeyRequest
from gatewright.wire.archives import write_definition

BASE = "/internal/data/v1"
THEIRS = "0a6f1111-2222-4333-8444-555566667777"
AT = "2099-01-01T00:00:00.000001Z"
LATER = "2099-01-02T00:00:00Z"
REVISION = "c0ffee00-0000-4000-8000-000000000001"


def theirs(name: str = "mine-v1-0", *, path: str = "/items", policies: object = None, display_name: str = "mine"):
    """The form in which an API Manager writes an API: every member, nulls for those without a value."""
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1alpha1",
        "kind": "RestApi",
        "metadata": {"name": name, "labels": None, "annotations": None},
        "spec": {
            "displayName": display_name,
            "version": "v1.0",
            "context": "/mine",
            "upstream": {"main": {"url": "http://127.0.0.1:9999", "ref": None}, "sandbox": None},
            "vhosts": None,
            "policies": policies,
            "operations": [{"method": "GET", "path": path, "policies": None}],
        },
    }


def deployed(deployment: str = "d1", at: str | None = AT, api: str = THEIRS) -> dict:
    payload = {"apiId": api, "deploymentId": deployment}
    return payload if at is None else {**payload, "performedAt": at}


def of_revision(revision: str, api: str = THEIRS, gateway: str = "gw-1") -> str:
    """As Java makes a name-based UUID without a namespace."""
    return str(uuid.UUID(bytes=hashlib.md5(f"{api}:{gateway}:{revision}".encode()).digest(), version=3))


def hashed(plain: str) -> str:
    return json.dumps({"sha256": hashlib.sha256(plain.encode()).hexdigest()})


class Manager:
    """An API Manager on the other end of the socket."""

    def __init__(self, site, hostile, plane, peer) -> None:
        self.site, self.hostile, self.plane, self.peer = site, hostile, plane, peer
        self.marks = 0

    def define(self, document, *, api: str = THEIRS, name: str = "api.yaml", status: int = 200) -> None:
        body = write_definition(name, json.dumps(document).encode())
        self.hostile.answers["GET", f"{BASE}/apis/{api}"] = (status, body)

    async def make(self, name: str = "mine", *, linked: bool = True, revision: str = REVISION):
        """An API made at the gateway, and what a sync notes about it."""
        stored = await self.site.deployments.create("RestApi", rest_api(name), correlation_id="c", actor="a")
        if linked:
            await self.link(stored.row.uuid, revision=revision)
        return stored.row.uuid

    async def link(self, local_id: str, *, api: str = THEIRS, revision: str = REVISION) -> None:
        info = json.dumps({"id": api, "revision": revision})
        await self.site.deployments.mark_pushed(local_id, "success", api, info)

    async def ack(self) -> dict:
        return (await self.peer.message())["payload"]

    async def silent(self) -> bool:
        """Everything sent so far is handled, and nothing was acknowledged."""
        self.marks += 1
        mark = f"test.mark-{self.marks}"
        self.peer.event(mark, {})
        await until(lambda: any(entry.what == mark for entry in self.plane.status().events))
        await until(lambda: self.plane._dispatcher.busy == 0 and self.plane._acks.owed == 0)
        await asyncio.sleep(0.02)
        return self.peer.frames.empty()

    async def row(self, local_id: str):
        return await self.site.deployments.get_by_id(local_id)


@pytest.fixture
def on_prem(hostile):
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, {"gatewayPath": "internal/data/v1"})
    hostile.answers["GET", f"{BASE}/apis/api-keys"] = (200, [])


@pytest.fixture
def managing(site, hostile, hostile_settings, on_prem):
    @asynccontextmanager
    async def link(**own):
        async with site.linked(hostile_settings(deployment_sync_enabled=False, own=own)) as plane:
            peer = await hostile.peer()
            await until(lambda: plane.status().last_reconcile and plane.status().events)
            yield Manager(site, hostile, plane, peer)

    return link


@pytest.fixture
async def manager(managing):
    async with managing() as made:
        yield made


@pytest.mark.conforms("AP-071", "AP-073", "AP-076")
async def test_a_deployment_takes_the_api_over_under_its_local_id(manager):
    local_id = await manager.make()
    manager.define(theirs(path="/theirs"))
    manager.peer.event("api.deployed", deployed())
    manager.peer.event("api.deployed", deployed())
    ack = await manager.ack()
    assert ack == {
        "deploymentId": "d1",
        "artifactId": THEIRS,
        "resourceType": "api",
        "action": "deploy",
        "status": "success",
        "performedAt": AT,
    }
    assert await manager.silent()
    request = manager.hostile.asked(f"{BASE}/apis/{THEIRS}")[0]
    assert request.headers["api-key"] == "a-token-of-the-test"
    assert request.headers["accept"] == "application/zip"
    row = await manager.row(local_id)
    assert (row.uuid, row.origin, row.cp_artifact_id) == (local_id, "control_plane", THEIRS)
    assert (row.handle, row.deployment_id, row.cp_sync_status) == ("mine-v1-0", "d1", None)
    assert row.document["spec"]["operations"][0]["path"] == "/theirs"
    assert len(await manager.site.deployments.list("RestApi")) == 1


@pytest.mark.conforms("AP-074")
async def test_what_is_older_than_the_api_changes_nothing(manager):
    local_id = await manager.make()
    manager.define(theirs(path="/theirs"))
    manager.peer.event("api.deployed", deployed(at="2001-01-01T00:00:00Z"))
    assert await manager.silent()
    assert (await manager.row(local_id)).origin == "gateway_api"


@pytest.mark.conforms("AP-075")
async def test_a_definition_that_cannot_be_had_is_a_failed_deployment(manager):
    local_id = await manager.make()
    manager.define(theirs(), name="readme.txt")
    manager.peer.event("api.deployed", deployed("d1"))
    assert (await manager.ack())["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    manager.define(theirs(), status=404)
    manager.peer.event("api.deployed", deployed("d2"))
    assert (await manager.ack())["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    manager.define(theirs())
    manager.peer.event("api.deployed", deployed(""))
    ack = await manager.ack()
    assert (ack["status"], ack["errorCode"]) == ("failed", "GATEWAY_PROCESSING_ERROR")
    assert (await manager.row(local_id)).origin == "gateway_api"


@pytest.mark.conforms("AP-077")
async def test_an_undeployment_stops_the_api_and_only_of_its_deployment(manager):
    local_id = await manager.make()
    manager.define(theirs())
    manager.peer.event("api.deployed", deployed("d1"))
    await manager.ack()
    manager.peer.event("api.undeployed", deployed("d9", LATER))
    ack = await manager.ack()
    assert (ack["status"], ack["errorCode"]) == ("failed", "DEPLOYMENT_ID_MISMATCH")
    assert manager.site.deployments.status(local_id).state != "undeployed"
    manager.peer.event("api.undeployed", deployed("d1", LATER))
    ack = await manager.ack()
    assert (ack["action"], ack["status"], ack["artifactId"]) == ("undeploy", "success", THEIRS)
    assert manager.site.deployments.status(local_id).state == "undeployed"
    assert (await manager.row(local_id)).origin == "control_plane"


async def test_an_api_made_here_is_undeployed_whatever_earlier_undeployment_is_noted(manager):
    local_id = await manager.make()
    manager.peer.event("api.undeployed", deployed("of-revision-1"))
    assert (await manager.ack())["status"] == "success"
    await manager.site.deployments.update("RestApi", "mine", rest_api("mine"), correlation_id="c", actor="a")
    assert (await manager.row(local_id)).desired_state == "deployed"
    manager.peer.event("api.undeployed", deployed("of-revision-2", LATER))
    assert (await manager.ack())["status"] == "success"
    row = await manager.row(local_id)
    assert (row.desired_state, row.origin) == ("undeployed", "gateway_api")
    assert manager.site.deployments.status(local_id).state == "undeployed"


@pytest.mark.conforms("AP-078")
async def test_undeploying_what_is_not_here_succeeds(manager):
    manager.peer.event("api.undeployed", deployed(api="nobody"))
    assert (await manager.ack())["status"] == "success"


@pytest.mark.conforms("AP-079")
async def test_a_deletion_removes_the_api_and_its_keys_and_is_not_acknowledged(manager):
    local_id = await manager.make()
    await manager.site.deployments.create_key(
        "RestApi", "mine", KeyRequest(name="local"), caller=Caller("alice"), correlation_id="c"
    )
    manager.peer.event("api.deleted", {"apiId": THEIRS})
    assert await manager.silent()
    assert await manager.row(local_id) is None
    assert not await manager.site.deployments.keys_of(local_id)
    assert manager.site.deployments.status(local_id).state == "unknown"


@pytest.mark.conforms("AP-080")
async def test_keys_are_those_of_the_local_api(manager):
    local_id = await manager.make()

    async def found():
        return {key.name: key for key in await manager.site.deployments.keys_of(local_id)}

    event = {"apiId": THEIRS, "name": "mobile-key", "apiKeyHashes": hashed("one"), "maskedApiKey": "****x9Qz"}
    manager.peer.event("apikey.created", event, userId="alice")
    await until(found)
    assert (await found())["mobile-key"].key_hash == hashlib.sha256(b"one").hexdigest()
    change = {"apiId": THEIRS, "keyName": "mobile-key", "apiKeyHashes": hashed("two"), "maskedApiKey": "****"}
    manager.peer.event("apikey.updated", change)
    assert await manager.silent()
    assert (await found())["mobile-key"].key_hash == hashlib.sha256(b"two").hexdigest()
    manager.peer.event("apikey.revoked", {"apiId": THEIRS, "keyName": "mobile-key"})
    assert await manager.silent()
    assert not await found()


@pytest.mark.conforms("AP-081", "AP-082", "AP-083")
async def test_irregular_events_are_logged_without_their_secrets_and_survived(manager, capsys):
    local_id = await manager.make()
    plain = "a-very-secret-key"
    good = {"apiId": THEIRS, "name": "key-k", "apiKeyHashes": hashed(plain), "maskedApiKey": "****"}
    manager.peer.frame(0x1, "no json")
    manager.peer.event("weather.changed", {"rain": True})
    for broken in ({"expiresAt": "2001-01-01T00:00:00Z"}, {"name": "Not A Name"}, {"apiKeyHashes": ""}):
        manager.peer.event("apikey.created", {**good, **broken})
    assert await manager.silent()
    assert not await manager.site.deployments.keys_of(local_id)
    assert manager.plane.status().state == "connected"
    assert manager.plane.status().reconnects == 0
    told = [entry for entry in manager.plane.status().events if entry.what == "apikey.created"]
    assert {entry.outcome for entry in told} == {"refused", "irregular"}
    manager.peer.event("apikey.created", good)
    assert await manager.silent()
    assert len(await manager.site.deployments.keys_of(local_id)) == 1
    logged = capsys.readouterr().out
    assert logged.count("apikey.created") == 4
    assert hashlib.sha256(plain.encode()).hexdigest() not in logged
    assert plain not in logged


# -- backfill ----------------------------------------------------------------------------------------------------------


def listed(name: str, plain: str | None = None, **more) -> dict:
    return {
        "uuid": str(uuid.uuid4()),
        "name": name,
        "maskedApiKey": "****",
        "apiKeyHashes": {"sha256": hashlib.sha256((plain or name).encode()).hexdigest()},
        "artifactUuid": THEIRS,
        "status": "ACTIVE",
        "createdAt": "2026-08-01T10:00:00Z",
        "createdBy": "admin",
        "updatedAt": "2026-08-01T10:00:00Z",
        "expiresAt": None,
        "issuer": None,
        **more,
    }


@pytest.mark.conforms("AP-084", "AP-085")
async def test_the_backfill_finds_the_local_api_and_never_wipes(manager):
    local_id = await manager.make()
    await manager.site.deployments.create_key(
        "RestApi", "mine", KeyRequest(name="local"), caller=Caller("alice"), correlation_id="c"
    )
    answer = [
        listed("upper"),
        listed("lower", status="active"),
        listed("as-text", apiKeyHashes=hashed("as-text")),
        listed("no-id", uuid=None),
        listed("off", status="INACTIVE"),
        listed("bare", apiKeyHashes={}),
        listed("elsewhere", artifactUuid="other-api"),
    ]
    manager.hostile.answers["GET", f"{BASE}/apis/api-keys"] = lambda _request: (200, answer)

    async def names():
        return {key.name for key in await manager.site.deployments.keys_of(local_id)}

    assert not (await manager.plane.reconcile()).errors
    everything = {"local", "upper", "lower", "as-text", "no-id"}
    assert await names() == everything
    for useless in ((200, []), (200, {"keys": []}), (404, b""), (500, b"Server error")):
        manager.hostile.answers["GET", f"{BASE}/apis/api-keys"] = useless
        await manager.plane.reconcile()
        assert await names() == everything
    manager.hostile.answers["GET", f"{BASE}/apis/api-keys"] = (200, answer[1:])
    await manager.plane.reconcile()
    assert await names() == everything - {"upper"}


async def test_a_key_that_is_listed_without_a_name_is_stored_once(manager):
    local_id = await manager.make()
    manager.hostile.answers["GET", f"{BASE}/apis/api-keys"] = (200, [listed("", "plain")])
    for _ in range(3):
        report = await manager.plane.reconcile()
        assert report.counts.get("apiKeys.revoked", 0) == 0
    (key,) = await manager.site.deployments.keys_of(local_id)
    assert key.key_hash == hashlib.sha256(b"plain").hexdigest()


# -- echoes of our own imports -----------------------------------------------------------------------------------------


async def test_the_echo_of_an_import_is_acknowledged_and_changes_nothing(manager):
    local_id = await manager.make()
    manager.define(theirs(path="/theirs"))
    manager.peer.event("api.deployed", deployed(of_revision(REVISION)))
    manager.peer.event("api.deployed", deployed(of_revision(REVISION)))
    ack = await manager.ack()
    assert (ack["artifactId"], ack["status"]) == (THEIRS, "success")
    assert await manager.silent()
    row = await manager.row(local_id)
    assert (row.origin, row.cp_sync_status, row.handle) == ("gateway_api", "success", "mine")
    assert row.document["spec"]["operations"][0]["path"] == "/items"
    assert not manager.hostile.asked(f"{BASE}/apis/{THEIRS}")
    manager.peer.event("api.undeployed", deployed(of_revision(REVISION), LATER))
    assert (await manager.ack())["status"] == "success"
    assert manager.site.deployments.status(local_id).state == "undeployed"


async def test_every_deployment_takes_over_when_echoes_are_switched_off(managing):
    async with managing(echo_window=timedelta(0)) as manager:
        local_id = await manager.make()
        manager.define(theirs())
        manager.peer.event("api.deployed", deployed(of_revision(REVISION)))
        assert (await manager.ack())["status"] == "success"
        assert (await manager.row(local_id)).origin == "control_plane"


async def test_the_same_revision_deployed_again_by_a_person_after_an_undeployment_serves(manager):
    local_id = await manager.make()
    manager.define(theirs())
    manager.peer.event("api.undeployed", deployed(of_revision(REVISION)))
    await manager.ack()
    manager.peer.event("api.deployed", deployed(of_revision(REVISION), LATER))
    assert (await manager.ack())["action"] == "deploy"
    assert manager.site.deployments.status(local_id).state != "undeployed"


async def test_an_event_that_overtakes_the_answer_to_the_first_import_waits_for_it(manager):
    local_id = await manager.make(linked=False)
    manager.define(theirs())
    echoes = manager.plane._echoes
    with echoes.importing(local_id):
        manager.peer.event("api.deployed", deployed("explicit-id"))
        assert await manager.silent()
        now = datetime.now(UTC)
        manager.peer.event("api.deployed", deployed(of_revision(REVISION), api="other"))
        await manager.link(local_id)
        echoes.imported(local_id, REVISION, begun=now, ended=datetime(2099, 1, 1, tzinfo=UTC))
    answers = {}
    for _ in range(2):
        ack = await manager.ack()
        answers[ack["artifactId"]] = ack["status"]
    assert answers == {THEIRS: "success", "other": "failed"}
    row = await manager.row(local_id)
    assert (row.origin, row.cp_sync_status) == ("gateway_api", "success")


async def test_an_event_that_overtakes_the_answer_to_a_later_import_waits_for_it(manager):
    local_id = await manager.make()
    echoes = manager.plane._echoes
    now = datetime.now(UTC)
    echoes.imported(local_id, REVISION, begun=now, ended=now)
    with echoes.importing(local_id):
        manager.peer.event("api.deployed", deployed(of_revision("revision-2")))
        assert await manager.silent()
        await manager.link(local_id, revision="revision-2")
        echoes.imported(local_id, "revision-2", begun=now, ended=now)
    assert (await manager.ack())["status"] == "success"
    assert (await manager.row(local_id)).origin == "gateway_api"
    manager.peer.event("api.undeployed", deployed(of_revision(REVISION), LATER))
    assert (await manager.ack())["action"] == "undeploy"
    assert (await manager.row(local_id)).desired_state == "deployed"


async def test_a_deployment_made_there_after_the_import_is_no_echo(manager):
    local_id = await manager.make()
    now = datetime.now(UTC)
    manager.plane._echoes.imported(local_id, REVISION, begun=now, ended=now)
    manager.define(theirs(path="/theirs"))
    manager.peer.event("api.deployed", deployed("of-a-person", (now + timedelta(minutes=1)).isoformat()))
    assert (await manager.ack())["status"] == "success"
    row = await manager.row(local_id)
    assert (row.origin, row.document["spec"]["operations"][0]["path"]) == ("control_plane", "/theirs")


async def test_an_event_without_an_id_is_no_echo_however_soon_it_comes(manager):
    local_id = await manager.make()
    now = datetime.now(UTC)
    manager.plane._echoes.imported(local_id, REVISION, begun=now, ended=now)
    manager.peer.event("api.deployed", deployed("", now.isoformat()))
    assert (await manager.ack())["errorCode"] == "GATEWAY_PROCESSING_ERROR"


async def test_somebody_elses_revision_is_news_however_soon_it_comes(manager):
    local_id = await manager.make()
    now = datetime.now(UTC)
    manager.plane._echoes.imported(local_id, REVISION, begun=now, ended=now)
    manager.define(theirs())
    soon = (now + timedelta(milliseconds=50)).isoformat()
    manager.peer.event("api.deployed", deployed(of_revision("of-a-person"), soon))
    assert (await manager.ack())["status"] == "success"
    assert (await manager.row(local_id)).origin == "control_plane"
