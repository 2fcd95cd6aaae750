"""`gatewright diff`: what it shows and how it ends."""

from typing import Any

import pytest

from gatewright.cli import connection

SAME = {"same": True, "compared": 3, "different": 0, "artifacts": [], "notes": [], "problems": [], "unknown": []}
DIFFERENCES = [
    {
        "place": "store",
        "code": "FIELD",
        "message": "the field differs",
        "field": "spec.upstream.main.url",
        "wanted": "http://a",
        "found": "http://b",
    },
    {
        "place": "store",
        "code": "FIELD",
        "message": "the field differs",
        "field": "spec.operations[POST /items]",
        "found": {"method": "POST"},
    },
    {"place": "routers", "code": "REFUSED", "router": "edge-1", "message": "refused: missing ]\x1b[31m"},
]
ARTIFACT = {"kind": "RestApi", "handle": "orders", "id": "a-1", "differences": DIFFERENCES}
DIFFERENT = SAME | {"same": False, "different": 1, "artifacts": [ARTIFACT], "notes": ["no router is connected"]}


def test_the_same_is_0(run: Any, double: Any) -> None:
    double.drift = (200, SAME)
    ran = run("diff", "--control-plane")
    assert (ran.code, ran.out, ran.err) == (0, "3 compared, all the same\n", "")
    assert double.calls == ["GET /api/admin/v1/drift?"]


def test_different_is_2_and_names_the_fields(run: Any, double: Any) -> None:
    double.drift = (200, DIFFERENT)
    ran = run("diff", "--control-plane", "orders", "other api")
    assert ran.code == 2
    assert double.calls == ["GET /api/admin/v1/drift?names=orders%2Cother%20api"]
    assert "orders (RestApi)\n  stored: spec.upstream.main.url\n" in ran.out
    assert '    wanted  "http://a"\n    found   "http://b"\n' in ran.out
    assert '    wanted  (not there)\n    found   {"method": "POST"}\n' in ran.out
    assert "  routers edge-1:\n    refused: missing ]" in ran.out
    assert "\x1b" not in ran.out
    assert ran.out.endswith("note: no router is connected\n3 compared, 1 different\n")
    assert run("diff", "--control-plane", "-o", "json").json == DIFFERENT


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"problems": ["batch of 5 deployments: HTTP 500"]}, "error: batch of 5 deployments: HTTP 500"),
        ({"unknown": ["nobody"]}, "error: there is no artifact nobody"),
    ],
)
def test_an_incomplete_comparison_is_1(run: Any, double: Any, body: dict[str, Any], words: str) -> None:
    double.drift = (200, DIFFERENT | body)
    ran = run("diff", "--control-plane")
    assert ran.code == 1
    assert words in ran.err


def test_no_comparison_is_1(run: Any, double: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    double.drift = (409, {"status": "error", "message": "The link to cp is refused"})
    ran = run("diff", "--control-plane")
    assert ran.code == 1
    assert "The link to cp is refused" in ran.err
    assert "gatewright doctor" in ran.err
    assert run("diff").code == 1
    monkeypatch.setenv(connection.SERVER_VARIABLE, "http://127.0.0.1:1")
    monkeypatch.setenv(connection.ADMIN_SERVER_VARIABLE, "http://127.0.0.1:1")
    assert run("diff", "--control-plane").code == 1
