"""A controller and routers as processes of their own: routers serve without it, start without it, and catch up."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from envoy_harness import Backend
from gateway_processes import HOST, KEY_POLICY, Gateway, alive, free_ports, rest_api, until


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    over = {"controller": {"server": {"shutdown_timeout": "10s"}}}
    with Gateway(tmp_path_factory.mktemp("controller"), over, role="controller") as running:
        yield running


def router_of(controller: Gateway, folder: Path) -> Gateway:
    """A router that is fed by `controller`; its listeners are what the controller says."""
    remote = {"host": HOST, "xds_port": controller.ports["xds"]}
    router = Gateway(folder, {"gatewright": {"remote_controller": remote}}, role="router")
    router.ports |= {name: controller.ports[name] for name in ("http", "https")}
    router.configuration["router"] = controller.configuration["router"]
    return router


@pytest.fixture(scope="module")
def router(controller: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with router_of(controller, tmp_path_factory.mktemp("router")) as running:
        yield running


@pytest.fixture(autouse=True)
def running(controller: Gateway, router: Gateway) -> Iterator[None]:
    """A test that fails leaves the others what they need."""
    yield
    for site in (controller, router):
        if not site.is_running:
            site.start()


@pytest.fixture(scope="module")
def key(controller: Gateway, router: Gateway, backend: Backend) -> str:
    """Of the API `secured`; beside it is `healthy`."""
    assert router.process.status is None
    controller.deploy(rest_api("healthy", backend.port))
    controller.deploy(rest_api("secured", backend.port, policies=[KEY_POLICY]))
    made = controller.create_key("secured", "visitor")
    router.secrets.add(made)
    return made


@pytest.mark.conforms("DP-114", "DP-163", "DP-164", "OP-077")
def test_the_controller_dies_and_comes_back(controller: Gateway, router: Gateway, key: str, backend: Backend) -> None:
    with router.undisturbed("/healthy/items") as traffic:
        controller.kill()
        traffic.proceed(50)
        assert router.get("/secured/items").status == 401
        assert router.get("/secured/items", headers=[("API-Key", key)]).status == 200
        controller.start()
        until(lambda: controller.status()["routers"], "the router has connected again")
        controller.deploy(rest_api("afterwards", backend.port))
        assert router.get("/afterwards/items").status == 200
        assert router.get("/secured/items", headers=[("API-Key", key)]).status == 200
        controller.remove("afterwards")
        traffic.proceed(20)


@pytest.mark.conforms("DP-165")
def test_a_router_starts_without_its_controller(
    controller: Gateway, router: Gateway, key: str, backend: Backend
) -> None:
    """From the last good snapshot on disk; what has changed meanwhile comes when the controller does."""
    controller.stop()
    snapshot = router.data_dir / "snapshots" / "last-good.snapshot"
    digest = hashlib.sha256(key.encode()).hexdigest().encode()
    # Many changes become one write, at most one in a second.
    until(lambda: snapshot.exists() and digest in snapshot.read_bytes(), "the snapshot is on disk")
    envoy = router.process.envoy()
    router.kill()
    until(lambda: not alive(envoy), "Envoy has died with its router")
    router.start()
    assert router.get("/healthy/items").status == 200
    assert router.get("/secured/items").status == 401
    assert router.get("/secured/items", headers=[("API-Key", key)]).status == 200
    with router.undisturbed("/healthy/items"):
        controller.start()
        until(lambda: controller.status()["routers"], "the router has connected")
        controller.deploy(rest_api("news", backend.port))
        assert router.get("/news/items").status == 200
        controller.remove("news")


def test_what_changed_while_a_router_was_away(controller: Gateway, router: Gateway, key: str, backend: Backend) -> None:
    assert key
    controller.deploy(rest_api("removed", backend.port))
    router.stop()
    until(lambda: not controller.status()["routers"], "the controller notices")
    controller.served(controller.delete("removed"), "stored")
    controller.served(controller.post(rest_api("added", backend.port)), "stored")
    router.start()
    until(lambda: router.get("/added/items").status == 200, "what is new")
    until(lambda: router.get("/removed/items").status == 404, "what is gone")
    controller.remove("added")


def test_a_change_of_form_elsewhere(controller: Gateway, router: Gateway, key: str, backend: Backend) -> None:
    """Back and forth, also when the old form has been drained away."""
    headers = [("API-Key", key)]
    everything = rest_api("root", backend.port, context="/", operations=[{"method": "GET", "path": "/*"}])
    with router.undisturbed("/healthy/items"):
        for pause in (0, 2):
            controller.deploy(everything)
            assert router.get("/whatever").status == 200
            assert router.get("/secured/items", headers=headers).status == 200
            time.sleep(pause)
            controller.remove("root")
            assert router.get("/whatever").status == 404
            assert router.get("/secured/items").status == 401
            assert router.get("/secured/items", headers=headers).status == 200
        controller.deploy(rest_api("scoped-again", backend.port))
        assert router.get("/scoped-again/items").status == 200
        controller.remove("scoped-again")


def test_two_routers(controller: Gateway, router: Gateway, key: str, backend: Backend, tmp_path: Path) -> None:
    """On one machine they share the listeners' ports; the kernel deals connections out to both."""
    assert key
    second = router_of(controller, tmp_path)
    # Its own look at the ports would refuse to share them.
    (http, https) = free_ports(2)
    second.configuration["router"] = {"listener_port": http, "https_port": https}
    second.launch()
    until(lambda: len(controller.status()["routers"]) == 2, "both are connected")
    until(lambda: all(shown["envoyConnected"] for shown in controller.status()["routers"]), "both have an Envoy")
    answer = controller.post(rest_api("both", backend.port))
    assert controller.served(answer)["routers"] == 2
    assert {router.get("/both/items").status for _ in range(20)} == {200}
    envoy = second.process.envoy()
    second.kill()
    until(lambda: not alive(envoy), "its Envoy has died with it, and takes no connections any more")
    until(lambda: len(controller.status()["routers"]) == 1, "one has gone")
    with router.undisturbed("/healthy/items", "/both/items") as traffic:
        traffic.proceed(40)
        assert controller.served(controller.put(rest_api("both", backend.port)))["routers"] == 1
    controller.remove("both")


def test_a_router_says_that_it_has_no_controller(tmp_path: Path) -> None:
    """Never connected, nothing on disk: it waits and says for what, and ends on a signal."""
    router = Gateway(tmp_path, {"gatewright": {"remote_controller": {"host": HOST, "xds_port": 1}}}, role="router")
    process = router.launch()
    line = process.wait_for_words("no connection to the controller")
    assert f"{HOST}:1" in line
    assert process.status is None
    router.stop()


@pytest.mark.conforms("OP-076")
def test_a_controller_stops_within_its_time(controller: Gateway, router: Gateway) -> None:
    """Also while connections of clients and a router are open."""
    assert controller.management.get("/rest-apis").status_code == 200
    began = time.monotonic()
    controller.stop()
    assert time.monotonic() - began < 10
    assert router.process.status is None
    controller.start()
    until(lambda: controller.status()["routers"], "the router has connected again")
