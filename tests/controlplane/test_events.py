"""Events over a real socket: what is stored, what is acknowledged, in which order, and what is never logged."""

import asyncio
import hashlib
import io
import json
import logging
import zipfile

import pytest
from controlplane_lab import rest_api, until

from gatewright.deployment import Caller, KeyRequest
from gatewright.wire.archives import write_batch, write_definition

BASE = "/api/internal/v1"
AT = "2026-08-01T10:15:30.123Z"
LATER = "2026-08-01T12:15:31.5+02:00"
LATEST = "2026-08-02T00:00:00Z"


def zipped(document, name="api-a.yaml") -> bytes:
    return write_definition(name, json.dumps(document).encode())


def deployed(api="a", deployment="d1", at: str | None = AT) -> dict:
    payload = {"apiId": api, "deploymentId": deployment}
    return payload if at is None else {**payload, "performedAt": at}


class Talk:
    """A linked gateway and the other end of its socket."""

    def __init__(self, site, hostile, plane, peer) -> None:
        self.site, self.hostile, self.plane, self.peer = site, hostile, plane, peer
        self.marks = 0

    def define(self, api: str, document=None, status: int = 200) -> None:
        self.hostile.answers["GET", f"{BASE}/apis/{api}"] = (status, zipped(document or rest_api(f"h-{api}")))

    async def deploy(self, api="a", deployment="d1", at: str | None = AT, document=None) -> dict:
        self.define(api, document)
        self.peer.event("api.deployed", deployed(api, deployment, at))
        return (await self.peer.message())["payload"]

    async def quiet(self) -> None:
        """Everything sent so far has arrived, was handled and is acknowledged."""
        self.marks += 1
        mark = f"test.mark-{self.marks}"
        self.peer.event(mark, {})
        await until(lambda: any(entry.what == mark for entry in self.plane.status().events))
        await until(lambda: self.plane._dispatcher.busy == 0 and self.plane._acks.owed == 0)

    async def silent(self) -> bool:
        """Nothing was acknowledged for what was sent last."""
        await self.quiet()
        await asyncio.sleep(0.02)
        return self.peer.frames.empty()


@pytest.fixture
async def talk(site, hostile, hostile_settings):
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await until(lambda: plane.status().last_reconcile and plane.status().events)
        yield Talk(site, hostile, plane, peer)


@pytest.mark.conforms("CP-048", "CP-051", "CP-052")
async def test_a_deployment(talk):
    ack = await talk.deploy()
    assert ack == {
        "deploymentId": "d1",
        "artifactId": "a",
        "resourceType": "api",
        "action": "deploy",
        "status": "success",
        "performedAt": AT,
    }
    (request,) = talk.hostile.asked("/apis/a")
    assert request.headers["accept"] == "application/zip"
    assert request.headers["api-key"] == "a-token-of-the-test"
    row = await talk.site.row("h-a")
    assert (row.uuid, row.origin, row.deployment_id, row.desired_state) == ("a", "control_plane", "d1", "deployed")
    assert row.deployed_at.isoformat() == "2026-08-01T10:15:30.123000+00:00"


async def test_performed_at_is_repeated_with_its_offset(talk):
    assert (await talk.deploy(at="2026-08-01T12:15:30.123456789+02:00"))["performedAt"] == (
        "2026-08-01T12:15:30.123456789+02:00"
    )


@pytest.mark.conforms("CP-049", "CP-057")
@pytest.mark.parametrize(
    "body",
    [b"", b"not a zip", write_definition("api.txt", b"x"), zipped({"kind": "RestApi"}), zipped({"kind": "Mcp"})],
)
async def test_a_definition_that_cannot_be_used(talk, body):
    await talk.deploy()
    talk.hostile.answers["GET", f"{BASE}/apis/a"] = (200, body)
    talk.peer.event("api.deployed", deployed(deployment="d2", at=LATEST))
    ack = (await talk.peer.message())["payload"]
    assert (ack["status"], ack["errorCode"]) == ("failed", "GATEWAY_PROCESSING_ERROR")
    assert (await talk.site.row("h-a")).deployment_id == "d1"


async def test_the_first_yaml_entry_counts(talk):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "x")
        archive.writestr("first.yml", json.dumps(rest_api("first")))
        archive.writestr("second.yaml", json.dumps(rest_api("second")))
    talk.hostile.answers["GET", f"{BASE}/apis/a"] = (200, buffer.getvalue())
    talk.peer.event("api.deployed", deployed())
    assert (await talk.peer.message())["payload"]["status"] == "success"
    assert await talk.site.row("first")


@pytest.mark.conforms("CP-050")
async def test_a_fetch_that_fails_for_good_is_answered_at_once(talk):
    talk.define("a", status=404)
    talk.peer.event("api.deployed", deployed())
    assert (await talk.peer.message())["payload"]["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    assert len(talk.hostile.asked("/apis/a")) == 1


@pytest.mark.conforms("CP-050")
async def test_a_fetch_that_fails_for_a_moment_is_tried_again(talk, monkeypatch):
    monkeypatch.setattr("gatewright.controlplane.handlers.lifecycle.FETCH_DELAYS", (0.01, 0.01))
    answers = [(503, b""), (500, b""), (200, zipped(rest_api("h-a")))]
    talk.hostile.answers["GET", f"{BASE}/apis/a"] = lambda _request: answers.pop(0)
    talk.peer.event("api.deployed", deployed())
    assert (await talk.peer.message())["payload"]["status"] == "success"


@pytest.mark.conforms("CP-053")
async def test_old_news_changes_nothing_and_is_not_acknowledged(talk):
    await talk.deploy(at=LATER)
    talk.define("a", rest_api("other"))
    for at in (LATER, AT):
        talk.peer.event("api.deployed", deployed(deployment="d2", at=at))
    assert await talk.silent()
    assert (await talk.site.row("h-a")).deployment_id == "d1"
    talk.define("a", status=404)
    talk.peer.event("api.deployed", deployed(at=AT))
    assert await talk.silent()


@pytest.mark.conforms("CP-054")
async def test_without_a_time_it_is_now_and_the_acknowledgement_says_none(talk):
    assert (await talk.deploy(at=None))["performedAt"] == "0001-01-01T00:00:00Z"
    assert (await talk.site.row("h-a")).deployed_at is not None


@pytest.mark.conforms("CP-055")
async def test_without_a_deployment_id_it_fails(talk):
    assert (await talk.deploy(deployment=""))["errorCode"] == "GATEWAY_PROCESSING_ERROR"


@pytest.mark.conforms("CP-056")
async def test_a_conflict_fails_and_leaves_the_other_alone(talk):
    await talk.deploy("a", document=rest_api("same"))
    ack = await talk.deploy("b", "d2", document=rest_api("same"))
    assert ack["errorCode"] == "GATEWAY_PROCESSING_ERROR"
    assert (await talk.site.row("same")).uuid == "a"


@pytest.mark.conforms("CP-058", "CP-066")
async def test_undeploy_and_revive(talk):
    await talk.deploy()
    talk.peer.event("api.undeployed", deployed(at=LATER))
    ack = (await talk.peer.message())["payload"]
    assert (ack["action"], ack["status"], ack["performedAt"]) == ("undeploy", "success", LATER)
    row = await talk.site.row("h-a")
    assert row.desired_state == "undeployed"
    assert row.document["spec"]["context"] == "/h-a"
    assert (await talk.deploy(deployment="d2", at=LATEST))["status"] == "success"
    assert (await talk.site.row("h-a")).desired_state == "deployed"


@pytest.mark.conforms("CP-063", "CP-064", "CP-065")
async def test_undeployments_that_do_not_fit(talk):
    talk.peer.event("api.undeployed", deployed("nobody"))
    assert (await talk.peer.message())["payload"]["status"] == "success"
    await talk.deploy()
    talk.peer.event("api.undeployed", deployed(deployment="d9", at=LATER))
    assert (await talk.peer.message())["payload"]["errorCode"] == "DEPLOYMENT_ID_MISMATCH"
    talk.peer.event("api.undeployed", deployed(at=AT))
    assert await talk.silent()
    assert (await talk.site.row("h-a")).desired_state == "deployed"


@pytest.mark.conforms("CP-067", "CP-068")
async def test_deletions_always_apply_and_are_never_acknowledged(talk):
    await talk.deploy()
    talk.peer.event("apikey.created", created("key-k"))
    await until(lambda: talk.site.deployments.keys_of("a"))
    talk.peer.event("api.deleted", {"apiId": "a"})
    talk.peer.event("api.deleted", {"apiId": "a"})
    assert await talk.silent()
    assert await talk.site.row("h-a") is None
    assert not await talk.site.deployments.keys_of("a")


@pytest.mark.conforms("CP-059", "CP-079")
async def test_a_gateway_made_artifact_is_found_by_the_control_planes_id(talk):
    stored = await talk.site.deployments.create("RestApi", rest_api("mine"), correlation_id="c", actor="a")
    await talk.site.deployments.mark_pushed(stored.row.uuid, "success", "their-id")
    talk.peer.event("apikey.created", created("key-k", "their-id"))
    await until(lambda: talk.site.deployments.keys_of(stored.row.uuid))
    ack = await talk.deploy("their-id", at="2099-01-01T00:00:00Z", document=rest_api("mine", context="/new"))
    assert (ack["status"], ack["artifactId"]) == ("success", "their-id")
    row = await talk.site.row("mine")
    assert (row.uuid, row.cp_artifact_id, row.origin) == (stored.row.uuid, "their-id", "control_plane")
    talk.peer.event("api.undeployed", deployed("their-id", at="2099-01-02T00:00:00Z"))
    assert (await talk.peer.message())["payload"]["status"] == "success"
    assert (await talk.site.row("mine")).desired_state == "undeployed"
    talk.peer.event("api.deleted", {"apiId": "their-id"})
    await talk.quiet()
    assert await talk.site.row("mine") is None


@pytest.mark.conforms("CP-061")
@pytest.mark.parametrize(
    ("family", "member", "collection"),
    [
        ("llmprovider", "providerId", "llm-providers"),
        ("llmproxy", "proxyId", "llm-proxies"),
        ("mcpproxy", "proxyId", "mcp-proxies"),
    ],
)
async def test_other_kinds_have_paths_and_names_of_their_own(talk, family, member, collection):
    payload = {member: "x", "deploymentId": "d1", "performedAt": AT}
    talk.peer.event(f"{family}.deployed", payload)
    ack = (await talk.peer.message())["payload"]
    assert (ack["resourceType"], ack["artifactId"], ack["status"]) == (family, "x", "failed")
    assert [request.path for request in talk.hostile.asked("/x")] == [f"{BASE}/{collection}/x"]
    talk.peer.event(f"{family}.undeployed", payload)
    assert (await talk.peer.message())["payload"]["resourceType"] == family
    talk.peer.event(f"{family}.deleted", {member: "x"})
    assert await talk.silent()


@pytest.mark.conforms("CP-155")
async def test_on_prem_the_definition_comes_from_the_discovered_path(site, hostile, hostile_settings):
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, {"gatewayPath": "internal/data/v1"})
    hostile.answers["GET", "/internal/data/v1/apis/api-keys"] = (200, [])
    hostile.answers["GET", "/internal/data/v1/apis/a"] = (200, zipped(rest_api("h-a")))
    async with site.linked(hostile_settings()):
        peer = await hostile.peer()
        peer.event("api.deployed", deployed(), correlation_id="deploy:d1")
        assert (await peer.message())["payload"]["status"] == "success"
        assert await site.row("h-a")


# -- keys --------------------------------------------------------------------------------------------------------------


def hashed(plain: str) -> str:
    return json.dumps({"sha256": hashlib.sha256(plain.encode()).hexdigest()})


def created(name: str, api: str = "a", *, plain: str | None = None, **more) -> dict:
    return {"apiId": api, "name": name, "apiKeyHashes": hashed(plain or name), "maskedApiKey": "***", **more}


async def keys(talk) -> dict:
    return {row.name: row for row in await talk.site.deployments.keys_of("a")}


@pytest.mark.conforms("CP-072", "CP-074", "CP-077", "CP-078", "CP-087")
async def test_keys_come_change_and_go(talk):
    await talk.deploy()
    talk.peer.event("apikey.created", created("key-k", expiresIn={"duration": 1, "unit": "months"}), userId="alice")
    talk.peer.event(
        "apikey.created",
        created("both", expiresAt="2099-01-01T00:00:00Z", expiresIn={"duration": 1, "unit": "days"}),
    )
    await talk.quiet()
    found = await keys(talk)
    assert (found["key-k"].source, found["key-k"].created_by) == ("external", "alice")
    assert found["key-k"].key_hash == hashlib.sha256(b"key-k").hexdigest()
    assert (found["key-k"].expires_at - found["key-k"].updated_at).days in {29, 30}
    assert found["both"].expires_at.year == 2099
    change = {"apiId": "a", "keyName": "key-k", "apiKeyHashes": hashed("new")}
    talk.peer.event("apikey.updated", change)
    talk.peer.event("apikey.updated", {**change, "keyName": "unknown-before", "apiKeyHashes": hashed("x")})
    await talk.quiet()
    found = await keys(talk)
    assert found["key-k"].key_hash == hashlib.sha256(b"new").hexdigest()
    assert set(found) == {"key-k", "both", "unknown-before"}
    for name in ("key-k", "both", "never-was"):
        talk.peer.event("apikey.revoked", {"apiId": "a", "keyName": name})
    assert await talk.silent()
    assert set(await keys(talk)) == {"unknown-before"}


@pytest.mark.conforms("CP-073")
async def test_key_events_that_break_a_rule_are_dropped(talk):
    await talk.deploy()
    good = created("good")
    for broken in (
        {**good, "apiId": ""},
        {**good, "apiKeyHashes": ""},
        {**good, "apiKeyHashes": "no json"},
        {**good, "apiKeyHashes": '{"md5":"x"}'},
        {**good, "name": "Not A Name"},
        {**good, "expiresAt": "tomorrow"},
        {**good, "expiresAt": "2020-01-01T00:00:00Z"},
        {**good, "expiresIn": {"duration": 1, "unit": "fortnights"}},
        {**good, "apiId": "nobody"},
    ):
        talk.peer.event("apikey.created", broken)
    assert await talk.silent()
    assert not await keys(talk)


@pytest.mark.conforms("CP-075", "CP-076", "CP-077")
async def test_limits_guards_and_local_keys(talk):
    await talk.deploy()
    for number in range(12):
        talk.peer.event("apikey.created", created(f"key-{number}"), userId="alice")
    await talk.quiet()
    assert len(await keys(talk)) == 10
    talk.peer.event("apikey.created", created("other", updatedAt="2026-08-01T10:00:00Z"), userId="bob")
    talk.peer.event("apikey.created", created("other", plain="x", updatedAt="2026-08-01T10:00:00Z"), userId="bob")
    talk.peer.event("apikey.created", created("other", plain="y", updatedAt="2026-07-01T10:00:00Z"), userId="bob")
    await talk.quiet()
    assert (await keys(talk))["other"].key_hash == hashlib.sha256(b"other").hexdigest()
    made = await talk.site.deployments.create_key(
        "RestApi", "h-a", KeyRequest(name="local"), caller=Caller("carol"), correlation_id="c"
    )
    talk.peer.event("apikey.updated", {"apiId": "a", "keyName": "local", "apiKeyHashes": hashed("z")})
    await talk.quiet()
    assert (await keys(talk))["local"].key_hash == made.row.key_hash


async def test_a_key_behind_its_deployment_finds_it(talk):
    """The key's event is right behind the deployment's, whose fetch takes a while."""

    async def slow(_request):
        await asyncio.sleep(0.1)
        return 200, zipped(rest_api("h-a"))

    talk.hostile.answers["GET", f"{BASE}/apis/a"] = slow
    talk.peer.event("api.deployed", deployed())
    talk.peer.event("apikey.created", created("key-k"))
    await talk.peer.message()
    await talk.quiet()
    assert set(await keys(talk)) == {"key-k"}


# -- order, bursts, liveness -------------------------------------------------------------------------------------------


@pytest.mark.conforms("CP-037")
async def test_a_revocation_does_not_wait_for_deployments(talk):
    await talk.deploy()
    talk.peer.event("apikey.created", created("key-k"))
    await until(lambda: talk.site.deployments.keys_of("a"))
    release = asyncio.Event()

    async def stuck(_request):
        await release.wait()
        return 200, zipped(rest_api("x"))

    async def stuck_batch(_request):
        await release.wait()
        return 200, write_batch({})

    for number in range(60):
        talk.hostile.answers["GET", f"{BASE}/apis/s{number}"] = stuck
    talk.hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = stuck_batch
    for number in range(60):
        talk.peer.event("api.deployed", deployed(f"s{number}", f"ds{number}"))
    talk.peer.event("apikey.revoked", {"apiId": "a", "keyName": "key-k"})

    async def gone():
        return not await talk.site.deployments.keys_of("a")

    await until(gone)
    assert talk.plane.status().waiting > 0
    talk.peer.frame(0x9, b"still-there")
    async with asyncio.timeout(2):
        while (await talk.peer.receive()) != (0xA, b"still-there"):
            pass
    release.set()


async def test_a_burst_is_fetched_in_batches(talk):
    documents = {f"d{number}": json.dumps(rest_api(f"api-{number}")).encode() for number in range(300)}
    batches = []

    def fetch(request):
        ids = json.loads(request.body)["deploymentIds"]
        batches.append(ids)
        return 200, write_batch({each: ("api-x.yaml", documents[each]) for each in ids if each != "d299"})

    talk.hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = fetch
    for number in range(300):
        talk.define(f"a{number}", rest_api(f"api-{number}"))
        talk.peer.event("api.deployed", deployed(f"a{number}", f"d{number}"))
    acks = [(await talk.peer.message())["payload"] for _ in range(300)]
    assert {ack["status"] for ack in acks} == {"success"}
    assert len({ack["artifactId"] for ack in acks}) == 300
    assert batches
    assert max(len(batch) for batch in batches) <= 50
    assert len([request for request in talk.hostile.requests if "/apis/a" in request.path]) < 60
    assert len(await talk.site.deployments.list()) == 300


async def test_a_failing_batch_falls_back_to_single_fetches(talk):
    talk.hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = (500, b"")
    for number in range(40):
        talk.define(f"a{number}", rest_api(f"api-{number}"))
        talk.peer.event("api.deployed", deployed(f"a{number}", f"d{number}"))
    acks = [(await talk.peer.message())["payload"]["status"] for _ in range(40)]
    assert acks == ["success"] * 40


async def test_an_overflow_is_made_good_by_a_reconcile(talk, monkeypatch):
    monkeypatch.setattr(talk.plane._dispatcher._backlog, "_limit", 3)
    rows = [
        {
            "artifactId": f"a{number}",
            "deploymentId": f"d{number}",
            "kind": "RestApi",
            "state": "DEPLOYED",
            "deployedAt": AT,
        }
        for number in range(40)
    ]
    talk.hostile.answers["GET", f"{BASE}/deployments"] = (200, {"deployments": rows})

    async def fetch(request):
        await asyncio.sleep(0.02)
        ids = json.loads(request.body)["deploymentIds"]
        return 200, write_batch({each: ("a.yaml", json.dumps(rest_api(f"api-{each}")).encode()) for each in ids})

    talk.hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = fetch
    for number in range(40):
        talk.define(f"a{number}", rest_api(f"api-d{number}"))
        talk.peer.event("api.deployed", deployed(f"a{number}", f"d{number}"))

    async def complete():
        return len(await talk.site.deployments.list()) == 40

    await until(complete)
    assert any(entry.outcome == "overflow" for entry in talk.plane.status().events)


async def test_an_acknowledgement_without_a_connection_waits_for_the_next_one(talk):
    release = asyncio.Event()

    async def slow(_request):
        await release.wait()
        return 200, zipped(rest_api("h-a"))

    talk.hostile.answers["GET", f"{BASE}/apis/a"] = slow
    accept = asyncio.Event()

    async def greet(peer):
        await accept.wait()
        peer.frame(1, json.dumps({"type": "connection.ack"}))

    talk.hostile.on_peer = greet
    talk.peer.event("api.deployed", deployed())
    await until(lambda: talk.hostile.asked("/apis/a"))
    talk.peer.abort()
    await until(lambda: talk.plane.status().state != "connected")
    release.set()
    await until(lambda: talk.plane._dispatcher.busy == 0)
    assert await talk.site.row("h-a")
    accept.set()
    peer = await talk.hostile.peer()
    assert (await peer.message())["payload"]["status"] == "success"


@pytest.mark.conforms("CP-043")
async def test_no_payload_of_a_key_reaches_log_status_or_journal(talk, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    canary = "canary" * 10
    await talk.deploy()
    talk.peer.event("apikey.created", created("key-k", apiKeyHashes=canary))
    talk.peer.event("apikey.created", created("key-l", expiresAt=canary))
    talk.peer.event("apikey.updated", {"apiId": "a", "keyName": "key-m", "apiKeyHashes": canary})
    talk.peer.event("subscription.created", {"subscriptionToken": canary})
    talk.peer.event(7, {"secret": canary})
    talk.peer.frame(1, canary)
    await talk.quiet()
    told = json.dumps(talk.plane.describe()) + caplog.text + "".join(capsys.readouterr())
    assert "api.deployed" in told
    assert canary not in told
    assert "a-token-of-the-test" not in told
