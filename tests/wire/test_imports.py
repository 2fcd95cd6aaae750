"""The push of gateway-made artifacts."""

import io
import json
import zipfile
from email.parser import BytesParser
from email.policy import HTTP

import pytest

from gatewright.wire import imports
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.times import ZERO_TIME, Timestamp

AT = Timestamp.parse("2026-08-01T10:00:00.5Z")


def _entry(dpid: str, kind: str) -> imports.ImportEntry:
    configuration = {"kind": kind, "metadata": {"name": dpid}}
    return imports.entry(dpid, configuration, "deployed", created_at=AT, updated_at=AT, deployed_at=AT)


def _zip(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.conforms("CP-122")
def test_the_request_is_multipart_with_a_zip_and_a_count() -> None:
    body = imports.encode_import([_entry("1", "RestApi"), _entry("2", "LlmProvider"), _entry("3", "RestApi")])
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + body.content_type.encode() + b"\r\n\r\n" + body.content
    )
    file, total = message.iter_parts()
    assert file.get_param("name", header="content-disposition") == "artifacts"
    assert file.get_filename() == "artifacts.zip"
    assert total.get_param("name", header="content-disposition") == "total"
    assert total.get_payload() == "3"
    with zipfile.ZipFile(io.BytesIO(file.get_payload(decode=True))) as archive:
        assert archive.namelist() == ["artifacts.json"]
        entries = json.loads(archive.read("artifacts.json"))
    assert [entry["dpid"] for entry in entries] == ["2", "1", "3"]
    assert entries[1] == {
        "dpid": "1",
        "configuration": {"kind": "RestApi", "metadata": {"name": "1"}},
        "status": "deployed",
        "createdAt": "2026-08-01T10:00:00.5Z",
        "updatedAt": "2026-08-01T10:00:00.5Z",
        "deployedAt": "2026-08-01T10:00:00.5Z",
        "properties": {"deploymentRevision": "2026-08-01T10:00:00.5Z"},
    }


def test_time_and_revision_are_left_out_together() -> None:
    entry = imports.entry("1", {}, "deployed", created_at=AT, updated_at=AT, deployed_at=None)
    assert entry.deployed_at is None
    assert entry.properties is None


def test_one_bad_entry_is_a_value_beside_the_good_ones() -> None:
    content = [{"dpid": "good", "configuration": {}}, {"dpid": "bad", "configuration": []}, 7, {"dpid": 5}]
    result = imports.decode_import(_zip("artifacts.json", json.dumps(content).encode()))
    assert isinstance(result, tuple)
    assert [dpid for dpid, _ in result] == ["good", "bad", "", ""]
    assert [isinstance(entry, Undecodable) for _, entry in result] == [False, True, True, True]


@pytest.mark.parametrize(
    ("archive", "code"),
    [
        (b"no zip", WireFault.BROKEN_ARCHIVE),
        (_zip("other.json", b"[]"), WireFault.NO_DOCUMENT),
        (_zip("artifacts.json", b"[]"), WireFault.NO_DOCUMENT),
        (_zip("artifacts.json", b"{}"), WireFault.NO_DOCUMENT),
        (_zip("artifacts.json", b"[{"), WireFault.NOT_JSON),
    ],
)
def test_an_unusable_whole_is_refused(archive: bytes, code: WireFault) -> None:
    result = imports.decode_import(archive)
    assert isinstance(result, Undecodable)
    assert result.code is code


def test_answer_counts_add_up_and_only_three_members_are_read() -> None:
    answer = imports.encode_import_answer(
        {
            "good": imports.ImportResult(
                id="cp-1", status="deployed", origin="gateway_api", created_at=AT, updated_at=AT, deployed_at=AT
            ),
            "bad": imports.ImportResult(
                status="failed",
                origin="gateway_api",
                created_at=ZERO_TIME,
                updated_at=ZERO_TIME,
                error="PROJECT_NOT_FOUND: no",
            ),
        },
    )
    tree = json.loads(answer)
    assert (tree["total"], tree["success"], tree["failed"]) == (2, 1, 1)
    assert tree["artifacts"]["bad"]["createdAt"] == ZERO_TIME.text()
    tree["artifacts"]["good"]["createdAt"] = 5
    assert imports.decode_import_answer(json.dumps(tree).encode()) == {
        "good": imports.ImportOutcome("cp-1", "deployed", ""),
        "bad": imports.ImportOutcome("", "failed", "PROJECT_NOT_FOUND: no"),
    }
