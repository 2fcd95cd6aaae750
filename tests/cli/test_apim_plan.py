"""`gatewright apim plan` and what `gatewright status` says of the sync to API Manager."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

ENTRY = {
    "handle": "orders",
    "id": "u",
    "displayName": "Orders",
    "version": "v1",
    "state": "deployed",
    "action": "none",
    "reason": "in step",
}
PLAN = {"rule": "stop", "gatewayName": "prod", "apis": [ENTRY], "unknown": []}


def test_in_step_is_0(run: Any, double: Any) -> None:
    double.plan = (200, PLAN)
    ran = run("apim", "plan")
    assert ran.code == 0
    assert "in step" in ran.out
    assert double.calls == ["GET /api/admin/v1/apim/plan?"]
    assert run("apim", "plan", "-o", "json").json == PLAN


@pytest.mark.parametrize(
    ("action", "code", "word"),
    [("create", 0, "create it there"), ("stop", 2, "STOP"), ("fail", 2, "FAIL"), ("unknown", 1, "unknown")],
)
def test_the_exit_code_tells_what_stops(run: Any, double: Any, action: str, code: int, word: str) -> None:
    double.plan = (200, PLAN | {"apis": [ENTRY, ENTRY | {"action": action, "reason": "because\x1b[31m"}]})
    ran = run("apim", "plan", "orders", "other api")
    assert ran.code == code
    assert word in ran.out
    assert "\x1b" not in ran.out
    assert double.calls == ["GET /api/admin/v1/apim/plan?names=orders%2Cother%20api"]


def test_an_unknown_name_and_no_plan_are_1(run: Any, double: Any) -> None:
    double.plan = (200, PLAN | {"unknown": ["nobody"]})
    ran = run("apim", "plan", "nobody")
    assert (ran.code, "there is no API nobody" in ran.err) == (1, True)
    double.plan = (409, {"status": "error", "message": "no API Manager has been reached yet"})
    ran = run("apim", "plan")
    assert (ran.code, "no API Manager has been reached yet" in ran.err) == (1, True)


def test_the_status_tells_of_every_api(run: Any, double: Any) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=100)).isoformat()
    double.status = {
        "apiManager": {
            "mode": "on_prem",
            "offered": True,
            "enabled": True,
            "gatewayName": "prod",
            "conflicts": "stop",
            "lacking": [],
            "totals": {"pending": 1, "synced": 2, "failed": 3},
            "departing": [{"displayName": "Gone", "version": "v1", "reason": "HTTP 503", "nextTryAt": soon}],
        },
        "artifacts": [
            {"handle": "a", "apiManager": {"state": "synced", "apiId": "A", "revision": "R", "syncedAt": soon}},
            {"handle": "b", "apiManager": {"state": "failed", "reason": "API import failed", "nextTryAt": soon}},
            {"handle": "c", "apiManager": {"state": "failed", "reason": "no upstream URL"}},
        ],
    }
    out = " ".join(run("status").out.split())
    assert "1 pending, 2 synced, 3 failed" in out
    assert "Gone v1 is gone here and still to be undeployed there (next try in 1 m" in out
    assert "API A, revision R" in out
    assert "b not synced (next try in 1 m" in out
    assert "c not synced (tried again when the API changes): no upstream URL" in out


def test_the_status_says_what_is_missing_and_what_is_not_offered(run: Any, double: Any) -> None:
    double.status = {"apiManager": {"mode": "on_prem", "offered": True, "enabled": True, "lacking": ["some.key"]}}
    out = run("status").out
    assert "IMPOSSIBLE" in out
    assert "some.key" in out
    double.status = {"apiManager": {"mode": "cloud", "offered": False, "note": "not synced to an API Manager"}}
    assert "not synced to an API Manager" in run("status").out
    double.status = {"apiManager": {"mode": "unknown"}}
    assert "API MANAGER" not in run("status").out
