"""`apply`, `get`, `delete` against a double: order of calls, waiting, exit codes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gatewright.cli import connection

Api = Callable[[str], str]


@pytest.fixture
def file(tmp_path: Path, api: Api) -> str:
    path = tmp_path / "api.yaml"
    path.write_text(api("shop"))
    return str(path)


def test_a_new_api_is_posted_and_waited_for(run, double, file: str) -> None:
    double.serving = [{"state": "timeout", "reason": "later"}, {"state": "served", "routers": 2}]
    ran = run("apply", "-f", file, "-o", "json")
    assert ran.code == 0, ran.err
    assert double.calls == [
        "GET /api/management/v1/rest-apis/shop",
        "POST /api/management/v1/rest-apis",
        "GET /api/management/v1/serving/7.RestApi.abc",
        "GET /api/management/v1/serving/7.RestApi.abc",
    ]
    (row,) = ran.json
    assert (row["name"], row["action"], row["serving"], row["routers"]) == ("shop", "created", "served", 2)
    assert double.bodies == [Path(file).read_bytes()]


def test_a_known_api_is_replaced(run, double, file: str) -> None:
    double.apis["shop"] = {}
    ran = run("apply", "-f", file, "--no-wait")
    assert ran.code == 0
    assert double.calls[1:] == ["PUT /api/management/v1/rest-apis/shop"]
    assert "restapi/shop" in ran.out
    assert "updated" in ran.out


def test_a_quarantined_api_fails_with_the_reason(run, double, file: str) -> None:
    double.serving = [{"state": "refused", "routers": 0, "reason": "missing ]: ["}]
    ran = run("apply", "-f", file)
    assert ran.code == 1
    assert "missing ]: [" in ran.err
    assert "What to do" in ran.err
    assert "quarantined" in ran.out


@pytest.mark.parametrize("state", ["stored", "timeout"])
def test_waiting_has_an_end(run, double, file: str, state: str) -> None:
    double.serving = [{"state": state, "routers": 0}]
    assert run("apply", "-f", file, "--timeout", "0.3").code == 5


def test_a_server_that_does_not_tell_is_believed(run, double, file: str) -> None:
    double.marks = False
    assert run("apply", "-f", file).code == 0


def test_all_problems_of_a_refused_document_are_shown(run, double, file: str) -> None:
    errors = [
        {"field": "spec.context", "message": "must start with /"},
        {"field": "spec.version", "message": "missing"},
    ]
    double.refusal = (400, {"status": "error", "message": "Configuration validation failed", "errors": errors})
    ran = run("apply", "-f", file)
    assert ran.code == 1
    assert "api.yaml: the gateway refused shop: Configuration validation failed" in ran.err
    assert "spec.context: must start with /" in ran.err
    assert "spec.version: missing" in ran.err


def test_every_document_is_tried(run, double, tmp_path: Path, api: Api) -> None:
    (tmp_path / "many.yaml").write_text(f"{api('one')}---\n{api('two')}")
    double.refusal = (409, {"status": "error", "message": "taken"})
    ran = run("apply", "-f", str(tmp_path))
    assert ran.code == 1
    assert ran.err.count("taken") == 2


def test_a_kind_that_cannot_be_applied_is_told_before_anything_is_sent(run, double, tmp_path: Path, api: Api) -> None:
    (tmp_path / "a.yaml").write_text(api("one") + "---\nkind: Pod\nmetadata: {name: x}\n")
    ran = run("apply", "-f", str(tmp_path / "a.yaml"))
    assert ran.code == 2
    assert "Pod" in ran.err
    assert double.calls == []


def test_get_lists_shows_and_misses(run, double) -> None:
    assert run("get", "rest-apis").out == "no REST APIs\n"
    double.apis["shop"] = {
        "metadata": {"name": "shop"},
        "spec": {
            "displayName": "Shop",
            "version": "v1",
            "context": "/shop",
            "operations": [{"method": "GET", "path": "/x"}],
        },
        "status": {"state": "deployed"},
    }
    assert run("get", "rest-apis").out.split("\n")[1].split() == ["shop", "Shop", "v1", "/shop", "deployed"]
    assert "/x" in run("get", "rest-api", "shop").out
    assert run("get", "rest-api", "shop", "-o", "json").json == double.apis["shop"]
    assert run("get", "rest-apis", "-o", "yaml").out.startswith("- metadata:\n    name: shop\n")
    missing = run("get", "rest-api", "nothing")
    assert missing.code == 6
    assert "not found" in missing.err
    assert run("get", "pods").code == 2


def test_delete_by_name_and_by_document(run, double, file: str) -> None:
    double.apis["shop"] = {}
    assert run("delete", "-f", file).out == "restapi/shop deleted\n"
    assert run("delete", "rest-api", "shop").code == 6
    assert run("delete").code == 2
    assert run("delete", "rest-api", "shop", "-f", file).code == 2


def test_a_wrong_password_is_4(run, double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(connection.PASSWORD_VARIABLE, "wrong")
    ran = run("get", "rest-apis")
    assert ran.code == 4
    assert "wrong" not in ran.err
    assert "authentication failed" in ran.err


def test_nobody_there_is_3(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(connection.PASSWORD_VARIABLE, "x")
    ran = run("get", "rest-apis", "--server", "http://127.0.0.1:1")
    assert ran.code == 3
    assert ran.err.startswith("error: no gateway answers: ")
    assert "gatewright up" in ran.err


def test_no_password_is_4(run) -> None:
    assert run("get", "rest-apis").code == 4


def test_status_shows_everything(run, double) -> None:
    double.status = {
        "controller": {"version": "9.9", "gatewayId": "g", "uptimeSeconds": 3725, "ready": True, "reason": "READY"},
        "controlPlane": {
            "state": "backing_off",
            "host": "hub:9243",
            "since": "2026-01-01T00:00:00Z",
            "lastError": {"code": "X", "message": "refused", "advice": "check the token", "at": "2026-01-01T00:00:00Z"},
            "lastReconcile": {"at": "2026-01-01T00:00:00Z", "counts": {"deployed": 2, "deleted": 0}},
        },
        "routers": [
            {
                "node": "edge-1",
                "relay": True,
                "envoyConnected": True,
                "connectedSince": "2026-01-01T00:00:00Z",
                "accepted": 12,
                "pending": 0,
                "refused": [],
            }
        ],
        "artifacts": [
            {
                "handle": "shop",
                "version": "v1",
                "desiredState": "deployed",
                "origin": "gateway_api",
                "controlPlaneSync": "failed",
                "controlPlaneSyncInfo": "no project",
                "serving": {"state": "quarantined", "reason": "missing ]", "serving_version": "a"},
            }
        ],
    }
    ran = run("status")
    assert ran.code == 0, ran.err
    for words in (
        "9.9",
        "1 h 2 m",
        "backing_off",
        "hub:9243",
        "refused (",
        "check the token",
        "2 deployed",
        "edge-1",
        "12",
        "quarantined",
        "missing ] (its last good version serves)",
        "shop not sent: no project",
    ):
        assert words in ran.out, words
    assert max(len(line) for line in ran.out.split("\n")) <= 82
    assert run("status", "-o", "json").json == double.status
