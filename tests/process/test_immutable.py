"""An immutable gateway: artifacts from files, nothing kept between runs, nothing changed through the management API."""

from pathlib import Path

import httpx2
import pytest
import yaml
from envoy_harness import Backend
from gateway_processes import HOST, Gateway, rest_api

TEMPLATE = {
    "apiVersion": "gateway.api-platform.wso2.com/v1",
    "kind": "LlmProviderTemplate",
    "metadata": {"name": "acme-llm"},
    "spec": {"displayName": "Acme"},
}
PROVIDER = {
    "apiVersion": "gateway.api-platform.wso2.com/v1",
    "kind": "LlmProvider",
    "metadata": {"name": "a-provider"},
    "spec": {
        "displayName": "a provider",
        "version": "v1.0",
        "template": "acme-llm",
        "upstream": {"url": "https://llm.example"},
        "accessControl": {"mode": "allow_all"},
    },
}


def over(folder: Path) -> dict[str, object]:
    return {"immutable_gateway": {"enabled": True, "artifacts_dir": str(folder)}}


@pytest.mark.conforms("OP-075", "MG-167")
def test_files_are_the_only_source(tmp_path: Path, backend: Backend) -> None:
    files = tmp_path / "artifacts"
    (files / "llm").mkdir(parents=True)
    (files / ".hidden").mkdir()
    # In the order of their names the provider would come before what it refers to.
    (files / "llm" / "a.yml").write_text(yaml.safe_dump(PROVIDER))
    (files / "llm" / "b.yaml").write_text(yaml.safe_dump(TEMPLATE))
    (files / "orders.yaml").write_text(yaml.safe_dump(rest_api("orders", backend.port)))
    (files / "books.yaml").write_text(yaml.safe_dump(rest_api("books", backend.port)))
    (files / ".hidden" / "no.yaml").write_text("neither: read")
    (files / "README.md").write_text("nor this")
    with Gateway(tmp_path / "gateway", over(files)) as gateway:
        assert gateway.get("/orders/items").status == 200
        assert gateway.get("/books/items").status == 200
        assert gateway.management.get("/llm-providers/a-provider").status_code == 200
        before = gateway.artifact("orders")["id"]

        url = f"http://{HOST}:{gateway.ports['management']}/api/management/v1/rest-apis"
        anonymous = httpx2.post(url, json=rest_api("more", backend.port), trust_env=False)
        assert anonymous.status_code == 405
        assert anonymous.json() == {
            "status": "error",
            "message": "Gateway is in immutable mode. Mutating operations are not allowed.",
        }
        assert gateway.put(rest_api("orders", backend.port)).status == 405
        assert gateway.delete("orders").status == 405

        gateway.stop()
        (files / "books.yaml").unlink()
        gateway.start()
        assert gateway.get("/orders/items").status == 200
        assert gateway.get("/books/items").status == 404
        assert gateway.artifact("orders")["id"] != before


def test_one_bad_file_ends_the_start_and_every_one_is_named(tmp_path: Path, backend: Backend) -> None:
    files = tmp_path / "artifacts"
    files.mkdir()
    (files / "good.yaml").write_text(yaml.safe_dump(rest_api("good", backend.port)))
    (files / "nothing.yaml").write_text("a: b")
    (files / "other.json").write_text('{"kind": "Deployment"}')
    (files / "broken.yaml").write_text("{")
    (files / "invalid.yaml").write_text(yaml.safe_dump(rest_api("x", backend.port, context="no-slash")))
    gateway = Gateway(tmp_path / "gateway", over(files), role="controller")
    gateway.launch()
    assert gateway.process.wait_for_end() == 1
    for words in (
        "nothing.yaml: the document has no kind",
        "other.json: kind 'Deployment' is none of LlmProviderTemplate, LlmProvider, RestApi, LlmProxy, Mcp",
        "broken.yaml: ",
        "invalid.yaml: ",
    ):
        assert gateway.process.said(words), gateway.process.log
    assert "Traceback" not in gateway.process.log
    assert not gateway.process.said("good.yaml")


def test_a_database_in_use_is_not_removed(tmp_path: Path) -> None:
    files = tmp_path / "artifacts"
    files.mkdir()
    with Gateway(tmp_path / "gateway", role="controller") as running:
        second = Gateway(tmp_path / "second", over(files), role="controller")
        second.configuration["controller"]["storage"] = running.configuration["controller"]["storage"]
        second.launch()
        assert second.process.wait_for_end() == 1
        assert second.process.said("is in use by process")
        assert running.management.get("/rest-apis").status_code == 200
        assert (running.data_dir / "gateway.db").exists()
