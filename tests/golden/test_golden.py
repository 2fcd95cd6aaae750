"""Artifact → model → Envoy's resources, one folder per case, and every case loaded into real Envoy.

A folder holds `artifact.yaml` (one or more documents), `model.json` and `resources.json`. The gateway is the same for
all cases; its listeners bind to port 0, so that they can be loaded anywhere.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy_certificates import Authority
from envoy_harness import Envoy
from google.protobuf.json_format import MessageToDict

from gatewright.artifacts.parsing import parse_documents
from gatewright.artifacts.restapi import RestApi
from gatewright.compile import compile_restapi
from gatewright.envoy import Resource, ScopeIndex, render_all
from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE
from gatewright.model.api import Api
from gatewright.model.gateway import AccessLog, Gateway, Listener, UpstreamTls

HERE = Path(__file__).parent
CASES = sorted(folder.name for folder in HERE.iterdir() if (folder / "artifact.yaml").exists())
GATEWAY = Gateway(listeners=(Listener("listener_http_8080", "127.0.0.1", 0),), access_log=AccessLog())
MESSAGES = {
    CLUSTER: cluster_pb2.Cluster,
    LISTENER: listener_pb2.Listener,
    ROUTES: route_pb2.RouteConfiguration,
    SCOPE: scoped_route_pb2.ScopedRouteConfiguration,
}


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    running = Envoy(tmp_path_factory.mktemp("envoy"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def loadable(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """The same gateway with a file of authorities that exists on this machine."""
    file = tmp_path_factory.mktemp("authorities") / "ca.pem"
    file.write_text(Authority().pem)
    return msgspec.structs.replace(GATEWAY, upstream_tls=UpstreamTls(trusted_ca_file=str(file)))


def compiled(case: str) -> list[Api]:
    documents = parse_documents((HERE / case / "artifact.yaml").read_text())
    apis = (RestApi.from_document(document) for document in documents)
    return [compile_restapi(api, api_id=f"id-of-{api.handle}", gateway=GATEWAY) for api in apis]


def model_text(apis: list[Api]) -> str:
    return msgspec.json.format(msgspec.json.encode(apis, order="sorted"), indent=2).decode() + "\n"


def resources_text(resources: list[Resource]) -> str:
    shown = [_shown(r) for r in resources if not (r.type_url == LISTENER or r.name == "/_gateway-health")]
    return json.dumps(shown, indent=2, sort_keys=True) + "\n"


def _shown(resource: Resource) -> dict[str, Any]:
    message = MESSAGES[resource.type_url].FromString(resource.body)
    return {
        "type": resource.type_url.rpartition(".")[2],
        "name": resource.name,
        "resource": MessageToDict(message, preserving_proto_field_name=True),
    }


def compare(file: Path, text: str, *, update: bool) -> None:
    if update:
        file.write_text(text)
    assert file.exists(), f"{file.name} is missing: run pytest tests/golden --update-golden"
    assert text == file.read_text(), "run pytest tests/golden --update-golden and read the difference"


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, envoy: Envoy, loadable: Gateway, request: pytest.FixtureRequest) -> None:
    update = request.config.getoption("--update-golden", default=False)
    apis = compiled(case)
    index = ScopeIndex(apis)
    resources = render_all(index, credentials={}, gateway=GATEWAY)
    compare(HERE / case / "model.json", model_text(apis), update=update)
    compare(HERE / case / "resources.json", resources_text(resources), update=update)
    assert envoy.push(render_all(index, credentials={}, gateway=loadable)) == []


def test_the_listener_and_the_gateways_own_scope(envoy: Envoy, request: pytest.FixtureRequest) -> None:
    """The listener without the filters of policies, which have tests of their own."""
    update = request.config.getoption("--update-golden", default=False)
    resources = render_all(ScopeIndex(), credentials={}, gateway=GATEWAY)
    shown = [_shown(r) for r in resources]
    manager = shown[0]["resource"]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [f for f in manager["http_filters"] if not f.get("disabled")]
    manager["local_reply_config"]["mappers"] = manager["local_reply_config"]["mappers"][-1:]
    compare(HERE / "gateway.json", json.dumps(shown, indent=2, sort_keys=True) + "\n", update=update)
    assert envoy.push(resources) == []
