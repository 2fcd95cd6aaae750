"""Runs the program inside the test process; a double of a gateway where real outcomes cannot be had cheaply."""

import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gatewright.cli import connection, hub_connection, main

VARIABLES = (
    connection.SERVER_VARIABLE,
    connection.ADMIN_SERVER_VARIABLE,
    connection.USER_VARIABLE,
    connection.PASSWORD_VARIABLE,
    connection.PASSWORD_FILE_VARIABLE,
    connection.DATA_DIR_VARIABLE,
    hub_connection.URL_VARIABLE,
    hub_connection.TOKEN_VARIABLE,
    hub_connection.DATA_DIR_VARIABLE,
)


@dataclass(frozen=True)
class Ran:
    """How the program ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: Any) -> Run:
    """`run("get", "rest-apis")`: in an empty folder, without variables of the developer."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))

    def invoke(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["gatewright", *arguments])
        capsys.readouterr()
        code: Any = 0
        try:
            main.main()
        except SystemExit as left:
            code = left.code or 0
        out, err = capsys.readouterr()
        return Ran(int(code), out, err)

    return invoke


@dataclass
class Double:
    """A gateway that answers as told. `serving` holds the answers of the waiting endpoint, the last one repeats."""

    url: str = ""
    apis: dict[str, Any] = field(default_factory=dict)
    serving: list[dict[str, Any]] = field(default_factory=lambda: [{"state": "served", "routers": 1}])
    refusal: tuple[int, dict[str, Any]] | None = None
    status: dict[str, Any] = field(default_factory=dict)
    drift: tuple[int, dict[str, Any]] = (200, {})
    plan: tuple[int, dict[str, Any]] = (200, {})
    calls: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    marks: bool = True


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, run: Run) -> Iterator[Double]:
    """A running double; the program is pointed at it."""
    state = Double()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(_application(state), log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv(connection.SERVER_VARIABLE, state.url)
    monkeypatch.setenv(connection.ADMIN_SERVER_VARIABLE, state.url)
    monkeypatch.setenv(connection.PASSWORD_VARIABLE, "secret")
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    yield state
    server.should_exit = True
    thread.join(10)
    listener.close()


def _drift(state: Double) -> Callable[[Request], Awaitable[Response]]:
    async def drift(request: Request) -> Response:
        state.calls.append(f"{request.method} {request.url.path}?{request.url.query}")
        return JSONResponse(state.drift[1], state.drift[0])

    return drift


def _plan(state: Double) -> Callable[[Request], Awaitable[Response]]:
    async def plan(request: Request) -> Response:
        state.calls.append(f"{request.method} {request.url.path}?{request.url.query}")
        return JSONResponse(state.plan[1], state.plan[0])

    return plan


def _application(state: Double) -> Starlette:
    async def collection(request: Request) -> Response:
        state.calls.append(f"{request.method} {request.url.path}")
        if request.headers.get("authorization") != "Basic YWRtaW46c2VjcmV0":
            return JSONResponse({"code": "authentication_failed", "message": "authentication failed"}, 401)
        if request.method == "GET":
            return JSONResponse({"status": "success", "count": len(state.apis), "apis": list(state.apis.values())})
        return await written(request, 201)

    async def one(request: Request) -> Response:
        state.calls.append(f"{request.method} {request.url.path}")
        name = request.path_params["name"]
        if request.method == "PUT":
            return await written(request, 200)
        if name not in state.apis:
            return JSONResponse({"status": "error", "message": f"RestAPI with handle '{name}' not found"}, 404)
        if request.method == "DELETE":
            del state.apis[name]
            return JSONResponse({"status": "success"})
        return JSONResponse(state.apis[name])

    async def written(request: Request, code: int) -> Response:
        state.bodies.append(await request.body())
        if state.refusal is not None:
            return JSONResponse(state.refusal[1], state.refusal[0])
        return JSONResponse({"status": {}}, code, {"x-gatewright-change": "7.RestApi.abc"} if state.marks else {})

    async def serving(request: Request) -> Response:
        state.calls.append(f"{request.method} {request.url.path}")
        return JSONResponse(state.serving.pop(0) if len(state.serving) > 1 else state.serving[0])

    async def status(_request: Request) -> Response:
        return JSONResponse(state.status)

    base, admin = "/api/management/v1", "/api/admin/v1"
    return Starlette(
        routes=[
            Route(f"{base}/rest-apis", collection, methods=["GET", "POST"]),
            Route(f"{base}/rest-apis/{{name}}", one, methods=["GET", "PUT", "DELETE"]),
            Route(f"{base}/serving/{{change}}", serving),
            Route(f"{admin}/status", status),
            Route(f"{admin}/drift", _drift(state)),
            Route(f"{admin}/apim/plan", _plan(state)),
        ]
    )


@pytest.fixture
def api() -> Callable[[str], str]:
    """A small RestApi document by name."""

    def document(name: str) -> str:
        return (
            "apiVersion: gateway.api-platform.wso2.com/v1\n"
            "kind: RestApi\n"
            f"metadata:\n  name: {name}\n"
            f"spec:\n  displayName: {name}\n  version: v1.0\n  context: /{name}\n"
            "  upstream:\n    main:\n      url: http://127.0.0.1:9\n"
            "  operations:\n    - method: GET\n      path: /*\n"
        )

    return document
