"""What goes towards the control plane: artifacts made here, and the manifest."""

import asyncio
import io
import json
import zipfile
from datetime import datetime

import pytest
from controlplane_lab import rest_api, until

from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition
from gatewright.controlplane.push import manifest as manifests
from gatewright.controlplane.push import pusher as pushers

BASE = "/api/internal/v1"
IMPORT = ("POST", f"{BASE}/artifacts/import-gateway-artifacts")


def sent(request) -> list[dict]:
    """The entries of a push, read as the other side would."""
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)
    head, _, content = parts[1].partition(b"\r\n\r\n")
    assert b'name="artifacts"; filename="artifacts.zip"' in head
    with zipfile.ZipFile(io.BytesIO(content.removesuffix(b"\r\n"))) as archive:
        assert archive.namelist() == ["artifacts.json"]
        entries = json.loads(archive.read("artifacts.json"))
    head, _, total = parts[2].partition(b"\r\n\r\n")
    assert b'name="total"' in head
    assert int(total) == len(entries)
    return entries


class Importer:
    """Answers pushes; `errors` by handle."""

    def __init__(self, hostile) -> None:
        self.pushes: list[list[dict]] = []
        self.errors: dict[str, str] = {}
        self.silent: set[str] = set()
        hostile.answers[IMPORT] = self

    def __call__(self, request):
        entries = sent(request)
        self.pushes.append(entries)
        results = {}
        for entry in entries:
            handle = entry["configuration"]["metadata"]["name"]
            if handle in self.silent:
                continue
            if handle in self.errors:
                results[entry["dpid"]] = {"status": "failed", "error": self.errors[handle]}
            else:
                results[entry["dpid"]] = {"id": f"cp-{handle}", "status": entry["status"]}
        return 200, {"artifacts": results}


@pytest.fixture
def importer(hostile):
    return Importer(hostile)


async def make(site, handle: str, **options):
    stored = await site.deployments.create("RestApi", rest_api(handle, **options), correlation_id="c", actor="a")
    return stored.row


async def synced(site, handle: str, status: str):
    async def holds():
        return (await site.row(handle)).cp_sync_status == status

    await until(holds)


@pytest.mark.conforms("CP-121", "CP-122")
async def test_an_api_made_while_connected_is_sent_alone(site, hostile_settings, importer):
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        row = await make(site, "mine")
        await synced(site, "mine", "success")
        (entry,) = importer.pushes[-1]
        assert (entry["dpid"], entry["status"]) == (row.uuid, "deployed")
        assert entry["configuration"]["metadata"]["name"] == "mine"
        assert entry["properties"] == {"deploymentRevision": entry["deployedAt"]}
        assert (await site.row("mine")).cp_artifact_id == "cp-mine"


@pytest.mark.conforms("CP-125", "CP-128")
async def test_every_connect_sends_all_that_was_made_here_in_one_call(site, hostile, hostile_settings, importer):
    await make(site, "one")
    await make(site, "two")
    await site.deployments.apply_deploy(
        "theirs", rest_api("theirs"), deployment_id="d", performed_at=None, correlation_id="c"
    )
    async with site.linked(hostile_settings()):
        await synced(site, "one", "success")
        assert [len(push) for push in importer.pushes] == [2]
        (await hostile.peer()).abort()
        await until(lambda: len(importer.pushes) == 2)
        assert {entry["configuration"]["metadata"]["name"] for entry in importer.pushes[1]} == {"one", "two"}


@pytest.mark.parametrize(("pool", "most"), [(0, 4), (1, 1), (3, 3)])
async def test_the_pool_bounds_the_pushes_at_one_time(site, hostile, hostile_settings, monkeypatch, pool, most):
    monkeypatch.setattr(pushers, "CHUNK", 1)
    under_way, seen = set(), []

    async def slow(request):
        (entry,) = sent(request)
        under_way.add(entry["dpid"])
        seen.append(len(under_way))
        await asyncio.sleep(0.05)
        under_way.remove(entry["dpid"])
        return 200, {"artifacts": {entry["dpid"]: {"id": "x-" + entry["dpid"], "status": "deployed"}}}

    for number in range(9):
        await make(site, f"api-{number}")
    hostile.answers[IMPORT] = slow
    async with site.linked(hostile_settings(ai_workspace_sync_pool_size=pool)):
        for number in range(9):
            await synced(site, f"api-{number}", "success")
    assert max(seen) == most
    assert len(seen) == 9


async def test_the_queue_bounds_what_is_in_memory_and_drops_nothing(site, hostile_settings, importer):
    for number in range(7):
        await make(site, f"api-{number}")
    async with site.linked(hostile_settings(ai_workspace_sync_queue_size=3)):
        for number in range(7):
            await synced(site, f"api-{number}", "success")
    assert [len(entries) for entries in importer.pushes] == [3, 3, 1]


async def test_what_others_refer_to_has_arrived_before_them(site, hostile, hostile_settings, monkeypatch):
    monkeypatch.setattr(pushers, "CHUNK", 1)
    log = []

    async def slow(request):
        (entry,) = sent(request)
        log.append(("asked", entry["configuration"]["kind"]))
        await asyncio.sleep(0.05)
        log.append(("done", entry["configuration"]["kind"]))
        return 200, {"artifacts": {entry["dpid"]: {"id": "x-" + entry["dpid"], "status": "deployed"}}}

    for number in range(3):
        await make(site, f"api-{number}")
    for handle in ("one", "two"):
        template = {"kind": "LlmProviderTemplate", "metadata": {"name": handle}, "spec": {"displayName": handle}}
        template["apiVersion"] = "gateway.api-platform.wso2.com/v1"
        await site.deployments.create("LlmProviderTemplate", template, correlation_id="c", actor="a")
    hostile.answers[IMPORT] = slow
    async with site.linked(hostile_settings()):
        await until(lambda: len(log) == 10)
    first_api = log.index(("asked", "RestApi"))
    assert log[:first_api].count(("done", "LlmProviderTemplate")) == 2


@pytest.mark.conforms("CP-123")
async def test_without_a_project_nothing_is_sent(site, hostile, hostile_settings, importer):
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        await make(site, "mine", project=None)
        await synced(site, "mine", "failed")
        assert not importer.pushes
        assert "gateway.api-platform.wso2.com/project-id" in (await site.row("mine")).cp_sync_info


@pytest.mark.conforms("CP-126")
async def test_a_deletion_arrives_as_undeployed(site, hostile_settings, importer):
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        row = await make(site, "mine")
        await synced(site, "mine", "success")
        await site.deployments.delete("RestApi", "mine", correlation_id="c", actor="a")
        await until(lambda: importer.pushes[-1][0]["status"] == "undeployed")
        assert importer.pushes[-1][0]["dpid"] == row.uuid
        assert importer.pushes[-1][0]["configuration"]["spec"]["context"] == "/mine"
        await until(lambda: plane.status().pushes_pending == 0)


async def test_a_deletion_while_away_is_not_forgotten(site, hostile_settings, importer):
    row = await make(site, "mine")
    await site.deployments.delete("RestApi", "mine", correlation_id="c", actor="a")
    async with site.linked(hostile_settings()):
        await until(lambda: importer.pushes)
        assert [(entry["dpid"], entry["status"]) for entry in importer.pushes[0]] == [(row.uuid, "undeployed")]


async def test_an_undeployment_is_sent_and_recorded(site, hostile_settings, importer):
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        await make(site, "mine")
        await synced(site, "mine", "success")
        document = rest_api("mine")
        document["spec"]["deploymentState"] = "undeployed"
        await site.deployments.update("RestApi", "mine", document, correlation_id="c", actor="a")
        await until(lambda: importer.pushes[-1][0]["status"] == "undeployed")
        await synced(site, "mine", "success")


@pytest.mark.conforms("CP-124", "CP-130")
async def test_a_refused_artifact_is_tried_again_and_heals(site, hostile_settings, importer, monkeypatch):
    monkeypatch.setattr(pushers, "_FIRST_WAIT", 0.01)
    importer.errors["mine"] = "PROJECT_NOT_FOUND: The specified project could not be found."
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        await make(site, "mine")
        await until(lambda: len(importer.pushes) >= 5)
        await synced(site, "mine", "failed")
        assert (await site.row("mine")).cp_sync_info.startswith("PROJECT_NOT_FOUND")
    importer.errors.clear()
    async with site.linked(hostile_settings()):
        await synced(site, "mine", "success")


@pytest.mark.parametrize("answer", [(500, b""), (503, b""), (200, b"garbage"), (401, b"")])
async def test_a_call_that_fails_leaves_it_pending_and_is_repeated(
    site, hostile, hostile_settings, importer, answer, monkeypatch
):
    monkeypatch.setattr(pushers, "_FIRST_WAIT", 0.01)
    await make(site, "mine")
    hostile.answers[IMPORT] = answer
    async with site.linked(hostile_settings()):
        await until(lambda: hostile.asked("/import-gateway-artifacts"))
        assert (await site.row("mine")).cp_sync_status == "pending"
        hostile.answers[IMPORT] = importer
        await synced(site, "mine", "success")


@pytest.mark.conforms("CP-129")
async def test_an_artifact_that_the_answer_does_not_mention_stays_as_it_is(site, hostile, hostile_settings, importer):
    await make(site, "one")
    await make(site, "two")
    importer.silent.add("two")
    async with site.linked(hostile_settings()):
        await synced(site, "one", "success")
        assert (await site.row("two")).cp_sync_status == "pending"


async def test_one_bad_artifact_does_not_hold_up_the_others(site, hostile, hostile_settings, importer):
    for handle in ("one", "two", "three"):
        await make(site, handle)
    importer.errors["two"] = "VALIDATION_FAILED: no"
    async with site.linked(hostile_settings()):
        for handle, status in (("one", "success"), ("two", "failed"), ("three", "success")):
            await synced(site, handle, status)


async def test_what_the_control_plane_cannot_take_as_a_whole_is_sent_one_by_one(
    site, hostile, hostile_settings, importer
):
    await make(site, "one")
    await make(site, "two")

    def picky(request):
        return (413, b"") if len(sent(request)) > 1 else importer(request)

    hostile.answers[IMPORT] = picky
    async with site.linked(hostile_settings()):
        await synced(site, "one", "success")
        await synced(site, "two", "success")


@pytest.mark.conforms("CP-127")
async def test_on_prem_nothing_is_pushed(site, hostile, hostile_settings, importer):
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, {"gatewayPath": "p"})
    await make(site, "mine")
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile)
        await asyncio.sleep(0.05)
        assert not hostile.asked("/import-gateway-artifacts")
        assert (await site.row("mine")).cp_sync_status != "success"


# -- the manifest ------------------------------------------------------------------------------------------------------


@pytest.mark.conforms("CP-113", "CP-114")
async def test_the_manifest_lists_policies_without_those_of_the_system(site, hostile, hostile_settings):
    definitions = [
        PolicyDefinition("set-headers", "v1.0.1", display_name="Set"),
        PolicyDefinition("wso2_apip_sys_x", "v1.0.0"),
    ]
    async with site.linked(hostile_settings(), catalogue=PolicyCatalogue(definitions)):
        await until(lambda: hostile.asked("/gateways/gw-1/manifest"))
        body = json.loads(hostile.asked("/gateways/gw-1/manifest")[0].body)
        assert body["version"] == "1.2.0"
        assert body["functionalityType"] == "regular"
        assert [policy["name"] for policy in body["policies"]] == ["set-headers"]
        (await hostile.peer()).abort()
        await until(lambda: len(hostile.asked("/manifest")) == 2)


@pytest.mark.conforms("CP-114")
async def test_no_policies_are_an_empty_list(site, hostile, hostile_settings):
    async with site.linked(hostile_settings(), catalogue=PolicyCatalogue()):
        await until(lambda: hostile.asked("/manifest"))
        assert json.loads(hostile.asked("/manifest")[0].body)["policies"] == []


@pytest.mark.conforms("CP-115")
async def test_a_failing_manifest_is_tried_three_times(site, hostile, hostile_settings, monkeypatch):
    assert manifests.DELAYS == (2.0, 4.0)
    monkeypatch.setattr(manifests, "DELAYS", (0.01, 0.01))
    hostile.answers["POST", f"{BASE}/gateways/gw-1/manifest"] = (500, b"")
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().manifest_error)
        assert len(hostile.asked("/manifest")) == 3
        assert plane.status().state == "connected"


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422])
@pytest.mark.conforms("CP-116")
async def test_a_refused_manifest_shows_and_changes_nothing(site, hostile, hostile_settings, status):
    body = {"code": status, "description": "version mismatch (registered=1.1, reported=1.2)"}
    hostile.answers["POST", f"{BASE}/gateways/gw-1/manifest"] = (status, body)
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().manifest_error)
        assert "version mismatch" in plane.status().manifest_error
        assert len(hostile.asked("/manifest")) == 1
        assert plane.status().state == "connected"


async def test_a_reconcile_on_request_sends_what_waits_for_its_time(site, hostile, hostile_settings, monkeypatch):
    monkeypatch.setattr(pushers, "_FIRST_WAIT", 600.0)
    await site.deployments.create("RestApi", rest_api("mine"), correlation_id="c", actor="a")
    hostile.answers[IMPORT] = (503, b"")
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: plane.status().last_reconcile and hostile.asked("/import-gateway-artifacts"))
        count = len(hostile.asked("/import-gateway-artifacts"))
        await plane.reconcile()
        await until(lambda: len(hostile.asked("/import-gateway-artifacts")) > count)


async def test_a_deletion_does_not_take_the_successor_away(site, hostile_settings, importer):
    """The control plane knows artifacts by their handles: what was made anew while the link was down must stay."""
    for _ in range(2):
        await make(site, "mine")
        await site.deployments.delete("RestApi", "mine", correlation_id="c", actor="a")
    row = await make(site, "mine")
    async with site.linked(hostile_settings()) as plane:
        await until(lambda: importer.pushes and plane.status().pushes_pending == 0)
        await site.deployments.delete("RestApi", "mine", correlation_id="c", actor="a")
        await until(lambda: importer.pushes[-1][0]["status"] == "undeployed")
        told = [(entry["dpid"], entry["status"]) for push in importer.pushes for entry in push]
        assert told == [(row.uuid, "deployed"), (row.uuid, "undeployed")]


@pytest.mark.conforms("CP-131")
async def test_a_template_is_sent_as_deployed_when_it_was_updated(site, hostile, hostile_settings, importer):
    template = {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "LlmProviderTemplate",
        "metadata": {"name": "acme"},
        "spec": {"displayName": "Acme"},
    }
    await site.deployments.create("LlmProviderTemplate", template, correlation_id="c", actor="a")
    changed = {**template, "spec": {"displayName": "Acme models"}}
    await site.deployments.update("LlmProviderTemplate", "acme", changed, correlation_id="c", actor="a")
    async with site.linked(hostile_settings()):
        await until(lambda: importer.pushes)
    (entry,) = importer.pushes[0]
    assert datetime.fromisoformat(entry["updatedAt"]) > datetime.fromisoformat(entry["createdAt"])
    assert entry["deployedAt"] == entry["updatedAt"]
    assert (entry["status"], entry["properties"]) == ("deployed", {"deploymentRevision": entry["updatedAt"]})
