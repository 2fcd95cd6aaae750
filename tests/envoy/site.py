"""Documents for tests, and a gateway made of the real compiler, the real renderer and a real Envoy."""

from pathlib import Path
from typing import Any

import msgspec
from envoy_harness import Envoy, Reply, call, free_port

from gatewright.artifacts.restapi import RestApi
from gatewright.compile import compile_restapi
from gatewright.envoy import ScopeIndex, render_all
from gatewright.model.api import Api
from gatewright.model.credentials import ApiKeyCredential
from gatewright.model.gateway import Gateway, Listener


def document(
    context: str, operations: list[Any], *, url: str | None = None, version: str = "v1.0", name: str = "", **spec: Any
) -> dict[str, Any]:
    """A RestApi document. An operation is a mapping or a text such as `GET /pets`."""
    body: dict[str, Any] = {
        "displayName": "Test",
        "version": version,
        "context": context,
        "operations": [
            dict(zip(("method", "path"), o.split(" ", 1), strict=True)) if isinstance(o, str) else o for o in operations
        ],
        **spec,
    }
    if url is not None:
        body.setdefault("upstream", {"main": {"url": url}})
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": name or "test"},
        "spec": body,
    }


def match(method: str, path: str, kind: str = "Exact", *headers: tuple[str, str, str]) -> dict[str, Any]:
    """An operation in match form."""
    return {
        "match": {
            "method": method,
            "path": {"value": path, "type": kind},
            "headers": [{"name": n, "value": v, "type": t} for n, v, t in headers],
        }
    }


class Site:
    """A gateway: `deploy` documents, `get` through Envoy. Without `directory` there is no Envoy, only the compiler."""

    def __init__(self, directory: Path, *, tls: Any = None, **settings: Any) -> None:
        self.port = free_port()
        self.tls_port = free_port() if tls is not None else 0
        listeners = [Listener("listener_http", "127.0.0.1", self.port)]
        if tls is not None:
            listeners.append(Listener("listener_https", "127.0.0.1", self.tls_port, tls))
        self.gateway = Gateway(listeners=tuple(listeners), **settings)
        self.index = ScopeIndex()
        self.credentials: dict[str, list[ApiKeyCredential]] = {}
        self.envoy = Envoy(directory)

    def compile(self, api_id: str, doc: dict[str, Any]) -> Api:
        return compile_restapi(RestApi.from_document(doc), api_id=api_id, gateway=self.gateway)

    def deploy(self, **documents: dict[str, Any] | None) -> None:
        """Put documents in by id, or (None) take them out; Envoy must accept everything."""
        for api_id, doc in documents.items():
            self.index.apply(api_id, None if doc is None else self.compile(api_id, doc))
        self.push()

    def push(self, **settings: Any) -> None:
        """Render everything again, with changed settings of the gateway if given."""
        self.gateway = msgspec.structs.replace(self.gateway, **settings)
        refused = self.envoy.push(render_all(self.index, credentials=self.credentials, gateway=self.gateway))
        assert not refused, refused
        self.envoy.wait_for_port(self.port)

    def get(self, path: str, **options: Any) -> Reply:
        return call(self.port, path, **options)

    def stop(self) -> None:
        self.envoy.stop()
