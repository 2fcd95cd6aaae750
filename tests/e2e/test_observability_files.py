"""Dashboard and alert rules against the metrics of real processes: nothing is drawn or watched that is not there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import promql_parser
import pytest
import yaml
from gateway_processes import HOST, Gateway, free_ports, until

FOLDER = Path(__file__).parents[2] / "deploy" / "observability"
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text())
ALERTS = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
OF_PROMETHEUS = {"up"}
_ENDINGS = ("_bucket", "_sum", "_count")


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
    for rule in RULES:
        yield rule["alert"], rule["expr"]


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics in an expression; ValueError when it is none."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.add(node.name)
        for part in ("expr", "lhs", "rhs", "vector_selector", "param"):
            inner = getattr(node, part, None)
            if inner is not None:
                walk(inner)
        for inner in getattr(node, "args", ()) or ():
            walk(inner)

    walk(promql_parser.parse(expression))
    return found


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names that controller and Envoy show, after one request."""
    (port,) = free_ports(1)
    over = {"policy_engine": {"metrics": {"enabled": True, "port": port}}}
    with Gateway(tmp_path_factory.mktemp("gateway"), over) as gateway:
        assert gateway.get("/anything").status == 404
        until(lambda: "downstream_rq_time_bucket" in _text(port, "/metrics"), "Envoy has counted a request")
        text = _text(gateway.ports["metrics"], "/metrics") + _text(port, "/metrics")
    return set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))


def _text(port: int, path: str) -> str:
    return httpx2.get(f"http://{HOST}:{port}{path}", trust_env=False).text


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_expression_is_about_metrics_that_exist(where: str, expression: str, exposed: set[str]) -> None:
    names = metrics_in(expression)
    assert names, where
    for name in names - OF_PROMETHEUS:
        base = next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)
        assert {name, base} & exposed, f"{where}: {name}"


def test_alerts_say_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_panels_have_a_place_of_their_own() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    covered: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & covered, panel["title"]
        covered |= cells
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in PANELS)
