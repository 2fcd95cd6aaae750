"""Artifacts that gateways push: matched by handle, last in wins, one bad entry harms no other."""

import io
import json
import zipfile
from typing import Any

import httpx2
import pytest
from hub_lab import DOCUMENT, Lab

from gatewright.hub.client import HubClientError
from gatewright.wire import imports
from gatewright.wire.times import Timestamp

PATH = "/artifacts/import-gateway-artifacts"
PROJECT = "gateway.api-platform.wso2.com/project-id"
T1, T2, T3 = (Timestamp.parse(f"2026-08-01T10:00:0{second}.5Z") for second in (1, 2, 3))


def _document(name: str, kind: str = "RestApi", project: str | None = "default", **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if project is not None:
        metadata["annotations"] = {PROJECT: project}
    return {"kind": kind, "metadata": metadata, "spec": {"displayName": name.title(), "version": "v1.0", **spec}}


def _entry(
    dpid: str, document: dict[str, Any], status: str = "deployed", at: Timestamp | None = T1
) -> imports.ImportEntry:
    return imports.entry(dpid, document, status, created_at=T1, updated_at=T1, deployed_at=at)


async def _push(rest: httpx2.AsyncClient, *entries: imports.ImportEntry) -> dict[str, Any]:
    body = imports.encode_import(list(entries))
    answer = await rest.post(PATH, content=body.content, headers={"content-type": body.content_type})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    assert result["total"] == result["success"] + result["failed"] == len(result["artifacts"])
    return result


@pytest.mark.conforms("CP-132")
async def test_the_hub_mints_its_own_id_and_matches_by_handle(lab: Lab) -> None:
    async with lab.rest(await lab.gateway()) as rest:
        first = (await _push(rest, _entry("local-1", _document("made-here"))))["artifacts"]["local-1"]
        again = (await _push(rest, _entry("local-2", _document("made-here"), at=T2)))["artifacts"]["local-2"]
    assert first["id"] == again["id"] != "local-1"
    assert (first["status"], first["origin"], first["deployedVersion"]) == ("deployed", "gateway_api", "v1.0")
    assert first["deployedAt"] == T1.text()
    artifact = await lab.client.artifact("made-here")
    assert (artifact.id, artifact.origin, artifact.project) == (first["id"], "gateway_api", "default")
    assert "displayName: Made-Here" in artifact.document
    (row,) = await lab.client.deployments(artifact="made-here")
    assert (row.status, row.desired, row.gateway) == ("DEPLOYED", "DEPLOYED", "edge")


@pytest.mark.conforms("CP-133")
async def test_one_bad_entry_does_not_harm_the_others(lab: Lab) -> None:
    async with lab.rest(await lab.gateway()) as rest:
        result = await _push(
            rest,
            _entry("good", _document("good-api")),
            _entry("no-project", _document("lonely", project=None)),
            _entry("odd-project", _document("odd", project="nowhere")),
            _entry("odd-kind", _document("odd-kind", "WebSubApi")),
            _entry("no-name", {"kind": "RestApi"}),
            _entry("no-provider", _document("proxy", "LlmProxy", provider={"id": "unknown"})),
            _entry("out-of-time", _document("ancient"), at=Timestamp.parse("0001-01-01T00:00:00Z")),
            _entry("template", _document("my-template", "LlmProviderTemplate", project=None)),
            _entry("provider", _document("my-provider", "LlmProvider", project=None, template="my-template")),
            _entry("proxy", _document("my-proxy", "LlmProxy", provider={"id": "my-provider"})),
            _entry("clash", _document("good-api", "Mcp")),
        )
    errors = {dpid: entry.get("error", "") for dpid, entry in result["artifacts"].items()}
    assert (result["success"], result["failed"]) == (4, 7)
    assert errors["no-project"] == 'VALIDATION_FAILED: A project is required for artifact kind "RestApi".'
    assert errors["odd-project"] == "PROJECT_NOT_FOUND: The specified project could not be found."
    assert errors["odd-kind"] == 'VALIDATION_FAILED: Unsupported artifact kind "WebSubApi".'
    assert errors["no-provider"].startswith("VALIDATION_FAILED: The referenced LLM provider")
    # A kind of lower rank comes first, so that the MCP proxy takes the handle and the API finds it taken.
    assert errors["good"].startswith("ARTIFACT_EXISTS: ")
    for dpid in ("clash", "template", "provider", "proxy"):
        assert errors[dpid] == ""
    failed = result["artifacts"]["no-name"]
    assert (failed["status"], failed["createdAt"]) == ("failed", "0001-01-01T00:00:00Z")


async def test_an_entry_of_the_wrong_shape_is_one_failed_entry(lab: Lab) -> None:
    content = json.dumps([
        {"dpid": "bad", "configuration": [], "status": "deployed"},
        {"dpid": "good", "configuration": _document("fine"), "status": "deployed", "createdAt": "never"},
        {"dpid": "fine", "configuration": _document("fine"), "status": "deployed"},
    ])  # fmt: skip
    async with lab.rest(await lab.gateway()) as rest:
        answer = await rest.post(PATH, files={"artifacts": ("artifacts.zip", _zip("artifacts.json", content))})
    assert answer.status_code == 200
    assert answer.json()["failed"] == 2
    assert answer.json()["artifacts"]["fine"]["id"]


@pytest.mark.conforms("CP-134")
async def test_older_never_overwrites_newer_and_equal_revisions_add_no_record(lab: Lab) -> None:
    async def documents() -> str:
        return (await lab.client.artifact("made-here")).document

    async def deployment() -> str:
        (row,) = await lab.client.deployments(artifact="made-here")
        return row.deployment_id

    async with lab.rest(await lab.gateway()) as rest:
        await _push(rest, _entry("1", _document("made-here", mark="two"), at=T2))
        first = await deployment()
        await _push(rest, _entry("1", _document("made-here", mark="two"), at=T2))
        assert await deployment() == first
        await _push(rest, _entry("1", _document("made-here", mark="one"), at=T1))
        assert "mark: two" in await documents()
        await _push(rest, _entry("1", _document("made-here", mark="none"), at=None))
        assert "mark: two" in await documents()
        await _push(rest, _entry("1", _document("made-here", mark="three"), at=T3))
        assert "mark: three" in await documents()
        assert await deployment() != first


@pytest.mark.conforms("CP-135")
async def test_undeployed_marks_the_status_and_an_unknown_one_is_a_success(lab: Lab) -> None:
    async with lab.rest(await lab.gateway()) as rest:
        unknown = (await _push(rest, _entry("1", _document("unknown"), "undeployed")))["artifacts"]["1"]
        assert unknown.get("id", "") == ""
        assert unknown.get("error", "") == ""
        made = (await _push(rest, _entry("1", _document("made-here"))))["artifacts"]["1"]
        for _ in range(2):
            gone = (await _push(rest, _entry("1", _document("made-here", mark="x"), "undeployed")))["artifacts"]["1"]
            assert gone["id"] == made["id"]
    (row,) = await lab.client.deployments(artifact="made-here")
    assert (row.status, row.desired) == ("UNDEPLOYED", "UNDEPLOYED")
    assert "mark" not in (await lab.client.artifact("made-here")).document


def _zip(name: str, content: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.conforms("CP-136")
async def test_an_unusable_request_is_refused_as_a_whole(lab: Lab) -> None:
    async with lab.rest(await lab.gateway()) as rest:
        for files in (
            {"artifacts": ("artifacts.zip", b"no zip at all")},
            {"other": ("artifacts.zip", _zip("artifacts.json", "[]"))},
            {"artifacts": ("artifacts.zip", _zip("something.json", "[]"))},
            {"artifacts": ("artifacts.zip", _zip("artifacts.json", "[]"))},
            {"artifacts": ("artifacts.zip", _zip("artifacts.json", "{nonsense"))},
            {"artifacts": ("artifacts.zip", _zip("../artifacts.json", "[]"))},
            {"artifacts": ("artifacts.zip", b"\x00" * (32 * 1_048_576 + 1))},
            {"artifacts": ("artifacts.zip", _zip("artifacts.json", b" " * (64 * 1_048_576 + 1)))},
        ):
            answer = await rest.post(PATH, files=files)
            assert answer.status_code == 400, answer.text
            assert answer.json()["code"] == 400
        assert (await rest.post(PATH, data={"artifacts": "text", "total": "1"})).status_code == 400
        assert (await rest.post(PATH, json=[])).status_code == 400
        broken = {"content-type": "multipart/form-data; boundary=x"}
        assert (await rest.post(PATH, content=b"no boundary here", headers=broken)).status_code == 400
        assert (await rest.post(PATH, content=bytes(40_000_000), headers=broken)).status_code == 400
    assert await lab.client.artifacts() == []


async def test_what_a_gateway_owns_is_read_only_here(lab: Lab) -> None:
    async with lab.rest(await lab.gateway()) as rest:
        await _push(rest, _entry("1", _document("made-here")))
        document = DOCUMENT.replace("orders-v1.0", "made-here")
        for call in (
            lab.client.deploy(document, ["edge"]),
            lab.client.deploy_again("made-here", ["edge"]),
            lab.client.undeploy("made-here"),
        ):
            with pytest.raises(HubClientError) as refusal:
                await call
            assert (refusal.value.status, refusal.value.code) == (403, "ARTIFACT_READ_ONLY")
        with pytest.raises(HubClientError) as in_use:
            await lab.client.delete_artifact("made-here")
        assert in_use.value.code == "ARTIFACT_IN_USE"
        await _push(rest, _entry("1", _document("made-here"), "undeployed"))
        await lab.client.delete_artifact("made-here")
    assert await lab.client.artifacts(origin="gateway_api") == []


async def test_keys_of_pushed_artifacts_are_announced_to_their_gateway(lab: Lab) -> None:
    token = await lab.gateway()
    async with lab.peer(token) as peer:
        made = (await _push(peer.rest, _entry("1", _document("made-here"))))["artifacts"]["1"]
        await lab.client.create_key("made-here", "some-key")
        assert (await peer.event())["payload"]["apiId"] == made["id"]
