"""Reconciling against lists that are right, wrong, missing or suddenly short."""

import asyncio
import io
import json
import tarfile
from datetime import UTC, datetime, timedelta

import pytest
from controlplane_lab import rest_api, until

from gatewright.controlplane import acks
from gatewright.deployment import Caller, KeyRequest
from gatewright.deployment.results import Unknown
from gatewright.store.rows import ArtifactRow
from gatewright.wire.archives import write_batch, write_definition
from gatewright.xds.outcomes import Accepted, Node

BASE = "/api/internal/v1"
MANY, SLOW = 150, 60.0
T0 = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)


class Platform:
    """The lists of a hostile server, kept like those of a control plane."""

    def __init__(self, hostile) -> None:
        self.hostile = hostile
        self.rows: dict[str, dict] = {}
        self.documents: dict[str, bytes] = {}
        self.existing: set[str] = set()
        self.batches: list[list[str]] = []
        hostile.answers["GET", f"{BASE}/deployments"] = lambda _request: (200, {"deployments": [*self.rows.values()]})
        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = self.fetch
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = self.exists

    def put(self, artifact: str, deployment: str, *, state="DEPLOYED", at=T0, document=None) -> None:
        self.rows[artifact] = {
            "artifactId": artifact,
            "deploymentId": deployment,
            "kind": "RestApi",
            "state": state,
            "deployedAt": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "etag": "",
        }
        self.documents[deployment] = json.dumps(document or rest_api(f"h-{artifact}")).encode()
        self.existing.add(artifact)

    def fetch(self, request):
        assert request.headers["accept"] == "application/x-tar+gzip"
        ids = json.loads(request.body)["deploymentIds"]
        self.batches.append(ids)
        return 200, write_batch({each: ("api-x.yaml", self.documents[each]) for each in ids if each in self.documents})

    def exists(self, request):
        ids = json.loads(request.body)["artifactIds"]
        return 200, {"artifacts": [{"artifactId": each, "exists": each in self.existing} for each in ids]}


@pytest.fixture
def platform(hostile):
    return Platform(hostile)


def local_row(uuid: str, kind: str) -> ArtifactRow:
    """An artifact of the control plane that it does not list any more."""
    return ArtifactRow(
        uuid=uuid,
        kind=kind,
        handle=uuid,
        display_name=uuid,
        version="v1",
        document={},
        origin="control_plane",
        deployed_at=T0,
        created_at=T0,
        updated_at=T0,
    )


async def reconciled(plane):
    await until(lambda: plane.status().last_reconcile)
    return plane.status().last_reconcile


@pytest.mark.conforms("CP-097", "CP-100", "CP-106")
async def test_120_deployments_come_in_three_batches(site, hostile, hostile_settings, platform):
    for number in range(120):
        platform.put(f"a{number}", f"d{number}")
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        report = await reconciled(plane)
        assert [len(batch) for batch in platform.batches] == [50, 50, 20]
        assert report.counts == {"deployments.deployed": 120}
        assert len(await site.deployments.list()) == 120
        again = await plane.reconcile()
        assert again.counts == {"deployments.unchanged": 120}
        assert len(platform.batches) == 3
        acks = [(await peer.message())["payload"] for _ in range(120)]
        assert {(ack["artifactId"], ack["status"]) for ack in acks} == {
            (f"a{number}", "success") for number in range(120)
        }
        await plane.reconcile()
        assert peer.frames.empty(), "each is acknowledged once"
        assert all("?" not in request.path for request in hostile.asked("/api-keys"))


@pytest.mark.conforms("CP-098", "CP-099")
async def test_a_failing_batch_a_missing_document_and_tricks_with_names(site, hostile, hostile_settings, platform):
    for number in range(6):
        platform.put(f"a{number}", f"d{number}")
    calls = []

    def fetch(request):
        calls.append(request)
        if len(calls) == 1:
            return 500, b""
        if len(calls) == 2:
            return 200, b"garbage"
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for name, deployment in (
                ("d4/api.yaml", "d4"),
                ("../d5/api.yaml", "d5"),
                ("d5.yaml", "d5"),
                ("d5/a.txt", "d5"),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(platform.documents[deployment])
                tar.addfile(info, io.BytesIO(platform.documents[deployment]))
        return 200, archive.getvalue()

    hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = fetch
    async with site.linked(hostile_settings(sync_batch_size=2)) as plane:
        report = await reconciled(plane)
        assert len(calls) == 3
        assert [row.handle for row in await site.deployments.list()] == ["h-a4"]
        assert report.counts["deployments.missing"] == 5
        assert len(report.errors) == 2
    hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = platform.fetch
    async with site.linked(hostile_settings(sync_batch_size=2)) as plane:
        await reconciled(plane)
        assert len(await site.deployments.list()) == 6


@pytest.mark.conforms("CP-095")
async def test_deletions_ask_first_and_an_error_keeps_everything(site, hostile, hostile_settings, platform):
    for name in ("gone", "kept", "stays"):
        platform.put(name, f"d-{name}")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        del platform.rows["gone"], platform.rows["kept"]
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = (500, b"")
        report = await plane.reconcile()
        assert "nothing was deleted" in report.errors[0]
        assert len(await site.deployments.list()) == 3
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = platform.exists
        platform.existing.discard("gone")
        report = await plane.reconcile()
        assert report.counts == {"deployments.deleted": 1, "deployments.retained": 1, "deployments.unchanged": 1}
        assert {row.uuid for row in await site.deployments.list()} == {"kept", "stays"}


async def test_a_provider_made_anew_takes_over_from_one_whose_deletion_failed(
    site, hostile, hostile_settings, platform
):
    def llm(kind, handle, **spec):
        return rest_api(handle) | {"kind": kind, "spec": {"displayName": handle, "version": "v1.0", **spec}}

    def put(artifact, document, at):
        platform.put(artifact, f"d-{artifact}", document=document, at=at)
        platform.rows[artifact]["kind"] = document["kind"]

    now = datetime.now(UTC)
    await site.deployments.create("LlmProviderTemplate", llm("LlmProviderTemplate", "t"), correlation_id="c", actor="a")
    upstream, access = {"url": "http://127.0.0.1:9999"}, {"mode": "allow_all"}
    provider = llm("LlmProvider", "acme", template="t", upstream=upstream, accessControl=access)
    put("old", provider, now - timedelta(seconds=2))
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await reconciled(plane)
        assert (await peer.message())["payload"]["status"] == "success"
        del platform.rows["old"]
        platform.existing.discard("old")
        put("new", provider, now - timedelta(seconds=1))
        put("proxy", llm("LlmProxy", "helpdesk", provider={"id": "acme"}), now)
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = lambda _request: (500, {})
        assert (await plane.reconcile()).errors
        assert (await site.row("acme", "LlmProvider")).uuid == "old"
        assert (await site.row("helpdesk", "LlmProxy")).uuid == "proxy"
        hostile.answers["POST", f"{BASE}/artifacts/exists"] = platform.exists
        assert (await plane.reconcile()).errors == ()
        assert (await site.row("acme", "LlmProvider")).uuid == "new"
        told = [(await peer.message())["payload"] for _ in range(3)]
        assert [ack["status"] for ack in told if ack["artifactId"] == "new"] == ["failed", "success"]
        assert [ack["status"] for ack in told if ack["artifactId"] == "proxy"] == ["success"]


@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), (200, {"deployments": 7}), (401, b"no")])
async def test_a_list_that_cannot_be_read_changes_nothing(site, hostile, hostile_settings, platform, answer):
    platform.put("a", "d")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        hostile.answers["GET", f"{BASE}/deployments"] = answer
        report = await plane.reconcile()
        assert report.errors
        assert len(await site.deployments.list()) == 1


async def test_a_list_that_suddenly_shrinks_is_believed_the_second_time(site, hostile, hostile_settings, platform):
    for number in range(8):
        platform.put(f"a{number}", f"d{number}")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        platform.rows.clear()
        platform.existing.clear()
        report = await plane.reconcile()
        assert report.withheld == 8
        assert plane.status().deletions_withheld == 8
        assert len(await site.deployments.list()) == 8
        report = await plane.reconcile()
        assert report.counts == {"deployments.deleted": 8}


@pytest.mark.conforms("CP-096")
async def test_what_is_done_first_and_in_which_order_of_kinds(site, hostile, hostile_settings, platform, monkeypatch):
    """Deletions before downloads before states. The kinds' order shows in what the write path is asked for."""
    done = []
    kinds = {"r": "RestApi", "m": "Mcp", "p": "LlmProvider", "x": "LlmProxy"}
    platform.put("state", "d-state")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        platform.put("state", "d-state", state="UNDEPLOYED", at=T0 + timedelta(seconds=1))
        for name, kind in kinds.items():
            platform.put(f"new-{name}", f"d-new-{name}")
            platform.rows[f"new-{name}"]["kind"] = kind
        fake = [local_row(f"old-{name}", kind) for name, kind in kinds.items()]
        real_heads = site.deployments.heads

        async def listed():
            return [*(await real_heads()), *fake]

        async def deleted(uuid, *, correlation_id):
            done.append(("delete", uuid))
            return Unknown()

        real_status = site.deployments.apply_status

        async def status(uuid, **options):
            done.append(("state", uuid))
            return await real_status(uuid, **options)

        monkeypatch.setattr(site.deployments, "heads", listed)
        monkeypatch.setattr(site.deployments, "apply_delete", deleted)
        monkeypatch.setattr(site.deployments, "apply_status", status)
        real_fetch = platform.fetch

        def fetch(request):
            done.append(("fetch", json.loads(request.body)["deploymentIds"]))
            return real_fetch(request)

        hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = fetch
        await plane.reconcile()
    assert done == [
        ("delete", "old-m"),
        ("delete", "old-r"),
        ("delete", "old-x"),
        ("delete", "old-p"),
        ("fetch", ["d-new-p", "d-new-x", "d-new-r", "d-new-m"]),
        ("state", "state"),
    ]


async def test_states_follow_the_list(site, hostile, hostile_settings, platform):
    platform.put("a", "d1")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        platform.put("a", "d1", state="UNDEPLOYED", at=T0 + timedelta(seconds=1))
        assert (await plane.reconcile()).counts == {"deployments.updated": 1}
        assert (await site.row("h-a")).desired_state == "undeployed"
        platform.put("a", "d2", at=T0 + timedelta(seconds=2))
        assert (await plane.reconcile()).counts == {"deployments.deployed": 1}
        row = await site.row("h-a")
        assert (row.desired_state, row.deployment_id) == ("deployed", "d2")
        platform.put("a", "d3", state="UNDEPLOYED", at=T0 + timedelta(seconds=3))
        assert (await plane.reconcile()).counts == {"deployments.updated": 1}
        assert (await site.row("h-a")).desired_state == "undeployed"


async def test_a_broken_document_is_named_and_the_rest_goes_on(site, hostile, hostile_settings, platform):
    platform.put("bad", "d1", document={"kind": "RestApi", "metadata": {"name": "bad"}, "spec": {}})
    platform.documents["d1"] = b"{{{ not yaml"
    platform.put("good", "d2")
    async with site.linked(hostile_settings()) as plane:
        report = await reconciled(plane)
        assert "bad" in report.errors[0]
        assert [row.uuid for row in await site.deployments.list()] == ["good"]


@pytest.mark.conforms("CP-089", "CP-091", "CP-127")
async def test_every_connect_reconciles_and_the_switch_turns_it_off(site, hostile, hostile_settings, platform):
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        (await hostile.peer()).abort()
        await hostile.peer()
        await until(lambda: len(hostile.asked("/deployments")) == 2)
    hostile.requests.clear()
    await site.deployments.create("RestApi", rest_api("mine"), correlation_id="c", actor="a")
    async with site.linked(hostile_settings(deployment_sync_enabled=False)) as plane:
        await reconciled(plane)
        await until(lambda: hostile.asked("/manifest"))
        assert not hostile.asked("/deployments")
        assert not hostile.asked("/import-gateway-artifacts")
        assert len(hostile.asked("/api-keys")) == 5
        assert (await site.row("mine")).cp_sync_status == "pending"


@pytest.mark.conforms("CP-092")
async def test_reconciles_repeat_at_the_polling_interval(site, hostile, hostile_settings):
    async with site.linked(hostile_settings(polling_interval=0.05)) as plane:
        await until(lambda: len(hostile.asked("/deployments")) > 2)
        await until(lambda: plane.status().last_reconcile.trigger == "interval")


async def test_a_recent_deployment_whose_event_was_lost_is_acknowledged(site, hostile, hostile_settings, platform):
    platform.put("a", "d1", at=datetime.now(UTC).replace(microsecond=123_000))
    async with site.linked(hostile_settings()):
        peer = await hostile.peer()
        ack = (await peer.message())["payload"]
        assert (ack["artifactId"], ack["deploymentId"], ack["status"]) == ("a", "d1", "success")
        assert ack["performedAt"] == platform.rows["a"]["deployedAt"]


def key(name: str, artifact: str = "a", *, hashed: str = "", updated: str = "2026-08-01T10:00:00Z", **more) -> dict:
    return {
        "uuid": f"k-{name}",
        "name": name,
        "maskedApiKey": "***",
        "apiKeyHashes": {"sha256": hashed or (name.encode().hex() * 64)[:64]},
        "artifactUuid": artifact,
        "status": "active",
        "createdAt": updated,
        "createdBy": "u",
        "updatedAt": updated,
        "expiresAt": None,
        "source": "external",
        **more,
    }


async def names(site, uuid: str = "a") -> set[str]:
    return {row.name for row in await site.deployments.keys_of(uuid)}


@pytest.mark.conforms("CP-103", "CP-104")
async def test_keys_follow_the_list_and_keys_made_here_stay(site, hostile, hostile_settings, platform):
    listed = [key("one"), key("two"), key("off", status="revoked"), key("bare", apiKeyHashes={})]
    hostile.answers["GET", f"{BASE}/apis/api-keys"] = lambda _request: (200, listed)
    platform.put("a", "d1")
    async with site.linked(hostile_settings()) as plane:
        report = await reconciled(plane)
        assert report.counts["apiKeys.applied"] == 2
        await site.deployments.create_key(
            "RestApi", "h-a", KeyRequest(name="local"), caller=Caller("alice"), correlation_id="c"
        )
        assert (await plane.reconcile()).counts["apiKeys.unchanged"] == 2
        listed.pop(0)
        listed[0] = key("two", hashed="e" * 64, updated="2026-08-02T10:00:00Z")
        report = await plane.reconcile()
        assert (report.counts["apiKeys.revoked"], report.counts["apiKeys.applied"]) == (1, 1)
        assert await names(site) == {"two", "local"}
        listed.clear()
        await plane.reconcile()
        assert await names(site) == {"local"}


@pytest.mark.parametrize("answer", [(500, b""), (404, b""), (200, b"garbage"), (200, {"keys": []})])
async def test_a_key_list_that_cannot_be_read_ends_no_key(site, hostile, hostile_settings, platform, answer):
    hostile.answers["GET", f"{BASE}/apis/api-keys"] = (200, [key("one")])
    platform.put("a", "d1")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
        hostile.answers["GET", f"{BASE}/apis/api-keys"] = answer
        assert (await plane.reconcile()).errors
        assert await names(site) == {"one"}


@pytest.mark.conforms("CP-106")
async def test_an_issuer_is_asked_for_and_others_keys_stay(site, hostile, hostile_settings, platform):
    listed = [key("mine", issuer="portal"), key("other", issuer="else")]
    hostile.answers["GET", f"{BASE}/apis/api-keys"] = (200, listed)
    platform.put("a", "d1")
    async with site.linked(hostile_settings()) as plane:
        await reconciled(plane)
    settings = hostile_settings()
    settings = settings.model_copy(update={"api_key": settings.api_key.model_copy(update={"issuer": "portal"})})
    hostile.answers["GET", f"{BASE}/apis/api-keys"] = (200, [])
    hostile.requests.clear()
    async with site.linked(settings) as plane:
        await reconciled(plane)
        assert all(request.path.endswith("?issuer=portal") for request in hostile.asked("/api-keys"))
        assert await names(site) == {"other"}


@pytest.mark.parametrize("performed", [timedelta(0), timedelta(seconds=45), timedelta(days=30)])
async def test_a_first_sync_that_a_router_is_slow_with_calls_nothing_failed(
    site, hostile, hostile_settings, platform, monkeypatch, performed
):
    """Many at once; the router answers long after people were told, whenever the deployments were asked for."""
    monkeypatch.setattr(acks, "LATE", 0.05)
    at = datetime.now(UTC) - performed
    for number in range(MANY):
        platform.put(f"a{number}", f"d{number}", at=at)
    site.routers.connected("slow", Node("slow"), "127.0.0.1")
    async with site.linked(hostile_settings()) as plane:
        peer = await hostile.peer()
        await until(lambda: plane.status().last_reconcile, SLOW)
        assert plane.status().last_reconcile.counts["deployments.deployed"] == MANY
        names = [f"a{number}" for number in range(MANY)]
        await until(lambda: all(site.deployments.status(name).state == "pending" for name in names), SLOW)
        await asyncio.sleep(0.2)
        assert plane._acks.owed == MANY
        assert peer.frames.empty(), "nobody knows anything yet"
        site.routers.outcomes("slow", [Accepted((each.type_url, each.name), each.version) for each in site.snapshot])
        told = [(await peer.message())["payload"] for _ in range(MANY)]
        assert {(each["status"], each["artifactId"]) for each in told} == {("success", name) for name in names}
        assert plane._acks.owed == 0
        assert peer.frames.empty()


async def test_what_a_reconcile_deletes_is_not_acknowledged_any_more(site, hostile, hostile_settings, platform):
    """The router has not answered when it goes; its removal must not pass for its deployment."""
    platform.put("a", "d1")
    site.routers.connected("slow", Node("slow"), "127.0.0.1")
    async with site.linked(hostile_settings(deletion_minimum=5)) as plane:
        peer = await hostile.peer()
        await reconciled(plane)
        await until(lambda: plane._acks.owed == 1)
        platform.rows.clear()
        platform.existing.clear()
        report = await plane.reconcile()
        assert report.counts["deployments.deleted"] == 1
        assert plane._acks.owed == 0
        site.routers.disconnected("slow")
        await plane.reconcile()
        await asyncio.sleep(0.05)
        assert peer.frames.empty()


async def test_a_list_that_is_older_than_an_undeployment_does_not_deploy(site, hostile, hostile_settings, platform):
    """The gateway does not know the artifact yet, and has answered that it is undeployed."""
    platform.put("a1", "d1")

    async def fetch(request):
        peer = await hostile.peer()
        later = (T0 + timedelta(seconds=1)).isoformat()
        peer.event("api.undeployed", {"apiId": "a1", "deploymentId": "d1", "performedAt": later})
        ack = (await peer.message())["payload"]
        assert (ack["action"], ack["status"]) == ("undeploy", "success")
        return platform.fetch(request)

    hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = fetch
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile, SLOW)
        assert platform.batches == [["d1"]]
        assert await site.deployments.list() == []


async def test_what_events_bring_meanwhile_is_not_downloaded_again(site, hostile, hostile_settings, platform):
    """Both tell of the same deployments after an outage; those of later batches are stored by then."""
    for number in range(60):
        platform.put(f"a{number:02}", f"d{number:02}")
    document = write_definition("api.yaml", platform.documents["d59"])
    hostile.answers["GET", f"{BASE}/apis/a59"] = (200, document)
    first = asyncio.Event()

    async def fetch(request):
        if not first.is_set():
            first.set()
            peer = await hostile.peer()
            peer.event("api.deployed", {"apiId": "a59", "deploymentId": "d59", "performedAt": T0.isoformat()})
            await until(lambda: site.row("h-a59"), SLOW)
        return platform.fetch(request)

    hostile.answers["POST", f"{BASE}/deployments/fetch-batch"] = fetch
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile, SLOW)
        assert plane.status().last_reconcile.counts == {"deployments.deployed": 59, "deployments.stale": 1}
    assert sorted(each for batch in platform.batches for each in batch) == [f"d{number:02}" for number in range(59)]
    assert len(await site.deployments.list()) == 60
