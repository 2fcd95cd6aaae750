"""Several controllers on one database, several routers: whatever dies, traffic goes on and all agree in the end."""

import importlib.util
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from envoy_harness import Backend
from gateway_processes import HOST, KEY_POLICY, Gateway, Hub, rest_api, until

from postgres_server.server import Server, binaries

_FILE = Path(__file__).with_name("shared_site.py")
if "shared_site" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("shared_site", _FILE)
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["shared_site"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

from shared_site import HANDLE, Site, kill  # noqa: E402 - needs the lines above

from gatewright.wire.kinds import PROJECT_ANNOTATION  # noqa: E402

LONG = "/" + "/".join(f"{{parameter{number}}}" for number in range(12))


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    """A server of its own: it is killed too."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: on Debian, apt-get install postgresql")
    server = Server(programs)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, hub: Hub, database: Server) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), hub, database.url(database.database()))
    first, second = made.routers
    made.tie(first, made.addresses[:1])
    made.tie(second, made.addresses[1:], strict=True)
    made.start()
    yield made
    made.close()


def at_hub(hub: Hub, document: dict) -> str:
    """Deploy at the hub; what it is told in the end."""
    deployed = hub.ask(lambda client: client.deploy(yaml.safe_dump(document), [HANDLE]))
    views = hub.ask(lambda client: client.deployments(artifact=deployed.artifact.id, wait=60))
    return views[0].status if views else ""


@pytest.mark.conforms("OP-060")
def test_what_is_changed_at_one_serves_at_all(site: Site, backend: Backend) -> None:
    """Each controller has one of the two routers, and knows what the other one's says."""
    one, other = site.controllers
    document = rest_api("orders", backend.port, policies=[KEY_POLICY])
    assert other.served(other.post(document))["routers"] == 2
    assert one.artifact("orders")["serving"]["state"] == "served"
    assert site.everywhere("/orders/items", 401)
    key = one.create_key("orders", "visitor")
    site.routers[0].secrets.add(key)
    headers = [("API-Key", key)]
    assert {site.get("/orders/items", headers=headers).status for _ in range(16)} == {200}
    assert other.management.delete("/rest-apis/orders/api-keys/visitor").status_code == 200
    until(lambda: site.everywhere("/orders/items", 401), "the key has ended everywhere")
    one.remove("orders")
    assert site.everywhere("/orders/items", 404)


def test_a_secret_that_is_changed_at_one_is_used_by_all(site: Site, backend: Backend) -> None:
    one, other = site.controllers

    def secret(value: str) -> dict:
        return {
            "apiVersion": "gateway.api-platform.wso2.com/v1",
            "kind": "Secret",
            "metadata": {"name": "where"},
            "spec": {"displayName": "where", "value": value},
        }

    def paths() -> set[str]:
        return {site.get("/hidden/items").json["path"] for _ in range(16)}

    assert one.management.post("/secrets", json=secret("first")).status_code < 300
    url = f"http://{HOST}:{backend.port}/" + '{{ secret "where" }}'
    other.deploy(rest_api("hidden", backend.port, upstream={"main": {"url": url}}))
    assert paths() == {"/first/items"}
    assert other.management.put("/secrets/where", json=secret("second")).status_code < 300
    until(lambda: paths() == {"/second/items"}, "both use the new value")
    one.remove("hidden")


def test_a_refusal_by_a_router_of_another_controller_is_told(site: Site, hub: Hub, backend: Backend) -> None:
    """One router takes the expression, the other does not: to call that served would be a lie, here and to the hub."""
    one, other = site.controllers
    bad = rest_api("doubtful", backend.port, operations=[{"method": "GET", "path": LONG}])
    for controller in (one, other):
        answer = controller.post(bad)
        assert "regex" in controller.served(answer, "refused")["reason"]
        for asked in (one, other):
            serving = until(
                lambda asked=asked: (
                    (shown := asked.artifact("doubtful")["serving"])["state"] == "quarantined" and shown
                ),
                "the status says so",
            )
            assert "regex" in serving["reason"]
        controller.delete("doubtful")
    assert at_hub(hub, bad) == "FAILED"
    hub.ask(lambda client: client.delete_artifact("doubtful"))


def test_one_holds_the_link_and_another_takes_it_over(site: Site, hub: Hub, backend: Backend) -> None:
    holder, standby = site.holder, site.standby
    assert standby.link["state"] == "standby"
    assert "holds the connection" in standby.link["advice"]
    assert standby.admin.post("/sync").status_code == 409
    assert at_hub(hub, rest_api("before", backend.port)) == "DEPLOYED"
    assert site.everywhere("/before/items")
    with site.controllers[0].undisturbed("/before/items"):
        kill(holder)
        killed = time.monotonic()
        standby.wait_for_link()
        # Ten seconds are promised, on a machine that has nothing else to do.
        assert time.monotonic() - killed < 40
        assert at_hub(hub, rest_api("after", backend.port)) == "DEPLOYED"
        answer = standby.served(standby.post(rest_api("meanwhile", backend.port)))
        assert answer["routers"] == 1
        holder.start()
        site.wait_until_whole()
        assert site.holder is standby
    until(lambda: site.everywhere("/after/items"), "the other one's router has it too")
    for handle in ("before", "after"):
        hub.ask(lambda client, handle=handle: client.delete_artifact(handle))
    standby.remove("meanwhile")


class Load:
    """Clients that hold connections and, as a load balancer does, ask once more elsewhere when a connection breaks."""

    def __init__(self, port: int, path: str) -> None:
        self.count = self.repeated = 0
        self.failures: list[str] = []
        self._url = f"http://{HOST}:{port}{path}"
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        client = httpx2.Client(trust_env=False, timeout=20)
        while not self._over.wait(0.004):
            for attempt in range(4):
                try:
                    status = client.get(self._url).status_code
                except httpx2.TransportError as broken:
                    client.close()
                    client = httpx2.Client(trust_env=False, timeout=20)
                    self.repeated += 1
                    if attempt == 3:
                        self.failures.append(repr(broken))
                    continue
                if status != 200:
                    self.failures.append(str(status))
                break
            self.count += 1
        client.close()


@pytest.mark.parametrize(
    "changes", [pytest.param(36, id="short"), pytest.param(500, id="long", marks=pytest.mark.long)]
)
def test_each_is_killed_in_turn_under_load_and_changes(
    changes: int, site: Site, hub: Hub, database: Server, backend: Backend
) -> None:
    """No request to an unchanged API fails, no change is lost or made twice, and all agree in the end."""
    for router in site.routers:
        router.stop()
        site.tie(router, site.addresses)
        router.start()
    site.wait_until_whole()
    site.controllers[0].deploy(rest_api("own-unchanged", backend.port))
    assert site.everywhere("/own-unchanged/items")

    holder, standby = site.holder, site.standby
    victims: list[Gateway | Hub | Server] = [standby, site.routers[0], holder, site.routers[1], hub, database]
    every = changes // len(victims)
    wanted: dict[str, int] = {}
    marks: list[str] = []
    down: Gateway | Hub | Server | None = None
    hand_over: list[float] = []
    slowest = 0.0
    load = Load(site.controllers[0].ports["http"], "/own-unchanged/items")
    try:
        for number in range(1, changes + 1):
            phase = number % every
            if phase == 1 and victims:
                # One after another: who was killed before is back.
                site.wait_until_whole()
                down = victims.pop(0)
                _kill(down)
                if down is holder:
                    threading.Thread(target=_time_hand_over, args=(standby, hand_over), daemon=True).start()
                if down is database:
                    until(lambda: site.readiness() == {(200, "READY_WITHOUT_DATABASE")}, "the controllers say so")
                    # Without it no change can be stored: it comes back while clients wait.
                    threading.Timer(0.5, database.start).start()
                    down = None
            elif phase == every // 2 and down is not None:
                _revive(down)
                down = None
            handle = f"{'hub' if number % 3 == 0 and down is not hub else 'own'}-{number % 7}"
            document = rest_api(
                handle,
                backend.port,
                operations=[{"method": "GET", "path": f"/v{number}"}],
                annotations={PROJECT_ANNOTATION: "default"},
            )
            if handle.startswith("hub"):
                text = yaml.safe_dump(document)
                hub.ask(lambda client, text=text: client.deploy(text, [HANDLE]))
            else:
                marks.append(f"change-{number}")
                began = time.monotonic()
                _put(site, handle, document, marks[-1])
                slowest = max(slowest, time.monotonic() - began)
            wanted[handle] = number
        if down is not None:
            _revive(down)
        site.wait_until_whole()
        assert site.readiness() == {(200, "READY")}
        _agree(site, hub, wanted)
    finally:
        load.stop()
    assert load.failures == [], f"{len(load.failures)} of {load.count}: {load.failures[:5]}"
    assert load.count > changes
    _once(database, marks)
    _tell(
        changes=changes,
        requests=load.count,
        failed=len(load.failures),
        asked_again=load.repeated,
        hand_over_s=hand_over[0],
        slowest_change_s=slowest,
    )
    for handle in [*wanted, "own-unchanged"]:
        if handle.startswith("own"):
            assert site.write("DELETE", f"/rest-apis/{handle}").status_code < 300
        else:
            hub.ask(lambda client, handle=handle: client.delete_artifact(handle))


def _kill(victim: Gateway | Hub | Server) -> None:
    if isinstance(victim, Server):
        victim.stop(signal.SIGQUIT)
    else:
        kill(victim)


def _revive(victim: Gateway | Hub | Server) -> None:
    if isinstance(victim, Gateway):
        victim.launch()
    else:
        victim.start()


def _put(site: Site, handle: str, document: dict, mark: str) -> None:
    """Create or replace, through whichever controller answers."""
    headers = {"x-correlation-id": mark}
    answer = site.write("PUT", f"/rest-apis/{handle}", json=document, headers=headers)
    if answer.status_code == 404:
        answer = site.write("POST", "/rest-apis", json=document, headers=headers)
    # A controller that was killed after its commit and before its answer: the client asks again and hears of it.
    assert answer.status_code < 300 or answer.status_code == 409, answer.text


def _agree(site: Site, hub: Hub, wanted: dict[str, int]) -> None:
    """Both routers serve the newest version and no other; both controllers and the hub say so."""
    for handle, number in wanted.items():
        until(
            lambda path=f"/{handle}/v{number}": site.everywhere(path),
            f"both routers serve {handle} in version {number}",
        )
        for controller in site.controllers:
            until(
                lambda controller=controller, handle=handle: (
                    controller.artifact(handle).get("serving", {}).get("state") == "served"
                ),
                f"{controller.folder.name} says that {handle} is served",
            )
    for handle in wanted:
        if handle.startswith("hub"):
            views = hub.ask(lambda client, handle=handle: client.deployments(artifact=handle, wait=60))
            assert [view.status for view in views] == ["DEPLOYED"]

    def pushed() -> bool:
        listed = {artifact.handle for artifact in hub.ask(lambda client: client.artifacts(origin="gateway_api"))}
        return {handle for handle in wanted if handle.startswith("own")} <= listed

    until(pushed, "the hub knows what was made here")


def _time_hand_over(standby: Gateway, seconds: list[float]) -> None:
    began = time.monotonic()
    standby.wait_for_link()
    seconds.append(time.monotonic() - began)


def _tell(**figures: float) -> None:
    """For the benchmark, which shows them."""
    file = os.environ.get("GATEWRIGHT_FIGURES")
    if file:
        Path(file).write_text(json.dumps(figures))


def _once(database: Server, marks: list[str]) -> None:
    """Every change that was answered is in the feed, and none is in it twice."""
    name = database.execute("SELECT datname FROM pg_database WHERE datname LIKE 'gw%'")[-1][0]
    found = database.execute(
        "SELECT correlation_id, count(*) FROM changes WHERE kind = 'RestApi' AND correlation_id <> '' "
        "GROUP BY correlation_id",
        str(name),
    )
    counted = {str(mark): int(str(count)) for mark, count in found}
    assert [mark for mark in marks if mark not in counted] == []
    assert {mark: count for mark, count in counted.items() if count > 1 and not mark.startswith("change-")} == {}
