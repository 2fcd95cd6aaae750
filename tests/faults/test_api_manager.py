"""The way of an API to API Manager under fire: the controller is killed at every step, or nobody answers there."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from gateway_processes import Gateway, rest_api, until

from support.apim_thread import StandIn

SITE = "prod-gateway"
POOL = 4
"""What `apim_sync_pool_size` is when nobody sets it."""

SOME, MANY = 20, 500
PATIENCE = 300.0
STEPS = {
    "token": (r"/oauth2/token", "POST"),
    "look by name": (r"/publisher/v4/apis", "GET"),
    "definition": (r"/swagger", "GET"),
    "import": (r"/apis/import", "POST"),
    "look by id": (r"/publisher/v4/apis/[^/]+", "GET"),
    "undeploy": (r"/undeploy-revision", "POST"),
}
"""Requests of a sync: what their paths end with, and their methods."""


@pytest.fixture(scope="module")
def apim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn(tmp_path_factory.mktemp("apim") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def site(apim: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A controller alone: no part of this needs Envoy."""
    with Gateway(tmp_path_factory.mktemp("site"), apim.gateway(SITE), role="controller") as gateway:
        gateway.wait_for_link()
        yield gateway


def document(name: str, path: str = "/items") -> dict[str, Any]:
    return rest_api(name, 9, operations=[{"method": "GET", "path": path}])


def settled(gateway: Gateway, handle: str) -> dict[str, Any]:
    """What the status says of an API once nothing more is to be sent."""

    def look() -> dict[str, Any]:
        shown: dict[str, Any] = gateway.artifact(handle).get("apiManager") or {}
        return shown if shown.get("state") == "synced" else {}

    found: dict[str, Any] = until(look, f"{handle} is synced", PATIENCE)
    return found


@contextmanager
def killed_at(apim: StandIn, site: Gateway, step: str, *, answered: bool) -> Iterator[None]:
    """Kill the controller when what the block does has come to this step, and start it again."""
    path, method = STEPS[step]
    with apim.held(path, method, answered=answered) as hold:
        yield
        hold.wait()
        site.kill()
    site.start()


def in_background(work: Callable[[], object]) -> None:
    """A request whose answer nobody hears, because the controller is killed meanwhile."""

    def run() -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - the controller is killed under it
            return

    threading.Thread(target=run, daemon=True).start()


def assert_there_once(apim: StandIn, site: Gateway, name: str, path: str) -> None:
    """One API, one current revision, the present content, and the status names just that."""
    shown = settled(site, name)
    (api,) = apim.ask(lambda client: client.apis(f"name:{name}"))
    (revision,) = apim.deployed(api["id"])
    assert (shown["apiId"], shown["revision"]) == (api["id"], revision)
    full = apim.ask(lambda client: client.api(api["id"]))
    assert [operation["target"] for operation in full["operations"]] == [path]
    assert len(apim.ask(lambda client: client.revisions(api["id"]))) <= 5


def _cases(steps: tuple[str, ...], always: tuple[tuple[str, bool], ...]) -> list[Any]:
    cases = [(step, answered) for step in steps for answered in (False, True)]
    marks = {case: () if case in always else (pytest.mark.long,) for case in cases}
    return [
        pytest.param(*case, marks=marks[case], id=f"{case[0]}-{'after' if case[1] else 'before'}") for case in cases
    ]


@pytest.mark.parametrize(
    ("step", "answered"),
    _cases(("token", "look by name", "import", "look by id"), (("import", False), ("import", True))),
)
def test_killed_while_an_api_is_created_there(apim: StandIn, site: Gateway, step: str, answered: bool) -> None:
    name = f"new-{step.replace(' ', '-')}-{answered}".lower()
    if step == "token":
        apim.ask(lambda client: client.end_access_tokens())
    with killed_at(apim, site, step, answered=answered):
        assert site.post(document(name)).status == 201
    assert_there_once(apim, site, name, "/items")


@pytest.mark.parametrize(
    ("step", "answered"),
    _cases(("token", "definition", "import", "look by id"), (("import", True),)),
)
def test_killed_while_an_api_is_changed_there(apim: StandIn, site: Gateway, step: str, answered: bool) -> None:
    name = f"old-{step.replace(' ', '-')}-{answered}".lower()
    site.post(document(name))
    assert_there_once(apim, site, name, "/items")
    if step == "token":
        apim.ask(lambda client: client.end_access_tokens())
    with killed_at(apim, site, step, answered=answered):
        assert site.put(document(name, "/changed")).status == 200
    assert_there_once(apim, site, name, "/changed")
    # Nothing of the kill is left that stands in the way of the next change.
    site.put(document(name, "/again"))
    assert_there_once(apim, site, name, "/again")


@pytest.mark.parametrize(("step", "answered"), _cases(("undeploy",), (("undeploy", True),)))
@pytest.mark.parametrize("how", ["undeployed", pytest.param("deleted", marks=pytest.mark.long)])
def test_killed_while_an_api_is_taken_away(apim: StandIn, site: Gateway, step: str, answered: bool, how: str) -> None:
    name = f"{how}-{answered}".lower()
    site.post(document(name))
    assert_there_once(apim, site, name, "/items")
    gone = document(name)
    gone["spec"]["deploymentState"] = "undeployed"
    with killed_at(apim, site, step, answered=answered):
        in_background(lambda: site.put(gone) if how == "undeployed" else site.delete(name))
    (api,) = apim.ask(lambda client: client.apis(f"name:{name}"))
    until(lambda: not apim.deployed(api["id"]), "no revision is deployed any more", PATIENCE)
    if how == "deleted":
        assert site.artifact(name) == {}
        until(lambda: not site.status()["apiManager"].get("departing"), "nothing more is to be done", PATIENCE)
    else:
        assert settled(site, name)["state"] == "synced"


@pytest.mark.parametrize("count", [SOME, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.conforms("AP-070")
def test_apis_made_during_an_outage_are_all_synced_after_it(apim: StandIn, site: Gateway, count: int) -> None:
    apim.stop()
    until(lambda: site.link["state"] != "connected", "the link is down")
    names = [f"outage-{count}-{number}" for number in range(count)]
    with ThreadPoolExecutor(4) as threads:
        assert {answer.status for answer in threads.map(lambda name: site.post(document(name)), names)} == {201}
    assert states(site, names) == {"pending": count}
    apim.start()

    def all_synced() -> bool:
        time.sleep(count / 1000)  # the look itself costs the controller time
        told = states(site, names)
        there = len(apim.ask(lambda client: client.apis("name:outage-")))
        assert sum(told.values()) == count
        assert set(told) <= {"pending", "synced"}, told
        # Read before the list was: what it claims must be there by now.
        assert told.get("synced", 0) <= there
        return told == {"synced": count}

    until(all_synced, "all of them are synced", PATIENCE)
    assert 2 <= apim.recorder.most_at_once <= POOL
    imports = [request for request in apim.requests("/apis/import") if request.status == 200]
    assert len(imports) == count
    listed = [api["name"] for api in apim.ask(lambda client: client.apis("name:outage-"))]
    assert sorted(name for name in listed if name in set(names)) == sorted(names)


def states(site: Gateway, names: list[str]) -> dict[str, int]:
    """How many of these APIs the status shows in which state."""
    wanted, found = set(names), {}
    for artifact in site.status()["artifacts"]:
        if artifact["handle"] in wanted:
            state = artifact["apiManager"]["state"]
            found[state] = found.get(state, 0) + 1
    return found
