"""Changes while requests run: edits, removals, a change of form, a refused API. Real Envoy."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from envoy_harness import RDS, SRDS, Backend, call
from envoy_site import Site, document

from gatewright.envoy import Resource, render_all, render_changes
from gatewright.envoy.resource import ROUTES, SCOPE


class Load:
    """Calls an API over and over; `failed` holds everything that was not a 200."""

    def __init__(self) -> None:
        self.calls = 0
        self.failed: list[object] = []


@contextmanager
def load(port: int, path: str) -> Iterator[Load]:
    counted, stop = Load(), threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                reply = call(port, path)
                if reply.status != 200:
                    counted.failed.append((reply.status, reply.body))
            except (OSError, IndexError, ValueError) as error:
                counted.failed.append(error)
            counted.calls += 1

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)


@pytest.fixture
def gateway(start_site: Callable[..., Site], backend: Backend) -> Site:
    site = start_site()
    url = f"http://127.0.0.1:{backend.port}"
    site.deploy(
        steady=document("/steady", ["GET /x"], url=f"{url}/s"), edited=document("/edited", ["GET /x"], url=f"{url}/0")
    )
    return site


def test_edits_disturb_nobody(gateway: Site, backend: Backend) -> None:
    url = f"http://127.0.0.1:{backend.port}"
    with load(gateway.port, "/steady/x") as steady, load(gateway.port, "/edited/x") as edited:
        for number in range(1, 31):
            gateway.deploy(edited=document("/edited", ["GET /x", f"GET /e{number}"], url=f"{url}/{number}"))
    assert (steady.failed, edited.failed) == ([], [])
    assert min(steady.calls, edited.calls) > 0
    assert gateway.get("/edited/x").json["path"] == "/30/x"


def test_a_new_upstream_is_there_before_its_routes(gateway: Site, backend: Backend, other_backend: Backend) -> None:
    with load(gateway.port, "/edited/x") as edited:
        for number in range(10):
            port = (backend, other_backend)[number % 2].port
            gateway.deploy(edited=document("/edited", ["GET /x"], url=f"http://127.0.0.1:{port}/{number}"))
    assert edited.failed == []


def test_what_is_taken_out_is_gone(gateway: Site, backend: Backend) -> None:
    assert gateway.get("/edited/x").status == 200
    gateway.deploy(edited=None)
    assert gateway.get("/edited/x").status == 404
    assert gateway.get("/steady/x").status == 200
    gateway.deploy(edited=document("/edited", ["GET /x"], url=f"http://127.0.0.1:{backend.port}"))
    assert gateway.get("/edited/x").status == 200


def test_a_change_of_form_loses_no_request(gateway: Site, backend: Backend) -> None:
    """Both ways, as forms.py tells: new resources, then listeners, the old form's resources only after the drain."""
    url = f"http://127.0.0.1:{backend.port}"
    state: dict[tuple[str, str], Resource] = {}

    def put(resources: list[Resource] | tuple[Resource, ...], unasked: tuple[str, ...]) -> None:
        state.update({(r.type_url, r.name): r for r in resources})
        assert gateway.envoy.push(state.values(), unasked=unasked) == []

    put(render_all(gateway.index, credentials={}, gateway=gateway.gateway), ())
    with load(gateway.port, "/steady/x") as steady:
        for doc in (document("/", ["GET /{any}"], url=f"{url}/any"), None) * 3:
            api = None if doc is None else gateway.compile("root", doc)
            touched = gateway.index.apply("root", api)
            assert touched.form_changed
            changes = render_changes(gateway.index, touched, credentials={}, gateway=gateway.gateway)
            put(changes.put, (RDS, SRDS))
            _until(lambda doc=doc: gateway.get("/something").status == (404 if doc is None else 200))
            kinds = {kind for kind, _ in changes.remove_after_drain}
            assert kinds == ({SCOPE} if doc is not None else {ROUTES})
    assert steady.failed == []
    assert steady.calls > 0


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
    raise AssertionError("it never came true")


def test_a_refused_scope_keeps_its_last_version_and_disturbs_no_other(gateway: Site) -> None:
    resources = render_all(gateway.index, credentials={}, gateway=gateway.gateway)
    broken = [Resource(r.type_url, r.name, "broken", r.body + b"\xff") if r.name == "/edited" else r for r in resources]
    assert gateway.envoy.push(broken) != []
    assert gateway.get("/edited/x").status == 200
    assert gateway.get("/steady/x").status == 200
    assert gateway.envoy.push(resources) == []
