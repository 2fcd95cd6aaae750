"""An API that passes all checks and is refused by Envoy: it alone waits in quarantine, with Envoy's words."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from envoy_harness import Backend
from gateway_processes import PROGRAM, Gateway, rest_api, until

LONG = "/" + "/".join(f"{{parameter{number}}}" for number in range(12))
"""Its expression is larger than the router of these tests takes, and smaller than the usual limit."""


class Strict(Gateway):
    """A controller with the usual limit, and a router whose Envoy takes only small expressions."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "controller", role="controller")
        own = {"envoy": {"re2_max_program_size": 30}, "remote_controller": {"xds_port": self.ports["xds"]}}
        self._router = Gateway(folder / "router", {"gatewright": own}, role="router")
        self._router.ports["http"] = self.ports["http"]

    def start(self) -> Self:
        super().start()
        self._router.start()
        return self

    def kill(self) -> None:
        super().kill()
        self._router.kill()

    def close(self) -> None:
        self._router.close()
        super().close()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[Gateway]:
    """A gateway whose Envoy takes only small expressions."""
    with Strict(tmp_path_factory.mktemp("strict")) as gateway:
        gateway.deploy(rest_api("healthy", backend.port))
        gateway.deploy(rest_api("shared-good", backend.port, context="/shared/good"))
        yield gateway


@pytest.mark.conforms("DP-161", "DP-162")
def test_quarantined_by_name_and_healed(strict: Gateway, backend: Backend, other_backend: Backend) -> None:
    good = rest_api("poisoned", backend.port)
    bad = rest_api("poisoned", other_backend.port, operations=[{"method": "GET", "path": LONG}])
    with strict.undisturbed("/healthy/items", "/shared/good/items"):
        strict.deploy(good)
        answer = strict.put(bad)
        assert answer.status == 200
        told = strict.served(answer, "refused")
        assert "regex" in told["reason"]
        serving = strict.artifact("poisoned")["serving"]
        assert serving["state"] == "quarantined"
        assert "regex" in serving["reason"]
        # The last good version serves on, with its own upstream.
        assert strict.get("/poisoned/items").json["backend"] == "backend"
        # Others are deployed as ever, even where they share what Envoy refuses.
        strict.deploy(rest_api("afterwards", backend.port, context="/afterwards"))
        assert strict.get("/afterwards/items").status == 200
        healed = rest_api("poisoned", other_backend.port)
        strict.replace(healed)
        assert strict.artifact("poisoned")["serving"]["state"] == "served"
        assert strict.get("/poisoned/items").json["backend"] == "other"
    strict.remove("poisoned")
    strict.remove("afterwards")


def test_poison_in_a_scope_that_others_share(strict: Gateway, backend: Backend) -> None:
    operations = [{"method": "GET", "path": LONG}]
    with strict.undisturbed("/healthy/items", "/shared/good/items"):
        answer = strict.post(rest_api("shared-bad", backend.port, context="/shared/bad", operations=operations))
        assert answer.status == 201
        strict.served(answer, "refused")
        until(lambda: strict.artifact("shared-bad")["serving"]["state"] == "quarantined", "the culprit is found")
        assert strict.artifact("shared-good")["serving"]["state"] == "served"
        # The neighbour can be changed although it stands beside the culprit.
        changed = rest_api("shared-good", backend.port, context="/shared/good")
        changed["spec"]["operations"] = [{"method": "GET", "path": path} for path in ("/items", "/new")]
        strict.replace(changed)
        assert strict.get("/shared/good/new").status == 200
        strict.remove("shared-bad")
        assert strict.artifact("shared-good")["serving"]["state"] == "served"


def test_poison_where_an_api_lies_at_the_root(strict: Gateway, backend: Backend) -> None:
    """All APIs are in one resource then: the one that spoils it is found, the others go on, also with changes."""
    everything = rest_api("root", backend.port, context="/", operations=[{"method": "POST", "path": "/*"}])
    with strict.undisturbed("/healthy/items", "/shared/good/items"):
        strict.deploy(everything)
        poisoned = rest_api("spoiler", backend.port, operations=[{"method": "GET", "path": LONG}])
        answer = strict.post(poisoned)
        strict.deploy(rest_api("beside", backend.port))
        assert strict.get("/beside/items").status == 200
        assert "regex" in strict.served(answer, "refused")["reason"]
        states = {artifact["handle"]: artifact["serving"]["state"] for artifact in strict.status()["artifacts"]}
        assert {handle for handle, state in states.items() if state == "quarantined"} == {"spoiler"}
        for handle in ("spoiler", "beside", "root"):
            strict.remove(handle)


def test_poison_beside_an_api_at_the_root_and_a_restart_of_everything(strict: Gateway, backend: Backend) -> None:
    """A fresh controller knows of no version that was good, a fresh Envoy has none: it is found all the same."""
    everything = rest_api("root", backend.port, context="/", operations=[{"method": "POST", "path": "/*"}])
    strict.deploy(everything)
    spoiler = rest_api("spoiler", backend.port, operations=[{"method": "GET", "path": LONG}])
    strict.served(strict.post(spoiler), "refused")
    strict.kill()
    strict.start()
    until(lambda: strict.artifact("spoiler")["serving"]["state"] == "quarantined", "the culprit is found")
    until(lambda: strict.get("/healthy/items").status == 200, "others are served")
    until(lambda: strict.get("/some/where", method="POST").status == 200, "and the one at the root")
    states = {artifact["handle"]: artifact["serving"]["state"] for artifact in strict.status()["artifacts"]}
    assert {handle for handle, state in states.items() if state == "quarantined"} == {"spoiler"}
    for handle in ("spoiler", "root"):
        strict.remove(handle)


def test_poison_survives_a_restart_and_so_does_its_last_good_version(strict: Gateway, backend: Backend) -> None:
    good = rest_api("lasting", backend.port)
    strict.deploy(good)
    strict.served(
        strict.put({**good, "spec": {**good["spec"], "operations": [{"method": "GET", "path": LONG}]}}), "refused"
    )
    strict.kill()
    strict.start()
    until(lambda: strict.artifact("lasting")["serving"]["state"] == "quarantined", "still in quarantine")
    until(lambda: strict.get("/lasting/items").status == 200, "the last good version serves")
    assert strict.get("/healthy/items").status == 200
    strict.replace(good)
    assert strict.get("/lasting/items").status == 200
    strict.remove("lasting")


def test_the_status_command_tells(strict: Gateway, backend: Backend, tmp_path: Path) -> None:
    operations = [{"method": "GET", "path": LONG}]
    strict.served(strict.post(rest_api("named", backend.port, operations=operations)), "refused")
    shown = subprocess.run(
        [*PROGRAM, "status", "--data-dir", str(strict.data_dir)],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200", "GATEWRIGHT_PASSWORD": strict.password},
    )  # fmt: skip
    assert "named" in shown.stdout, shown.stderr
    assert "regex" in shown.stdout
    assert strict.password not in shown.stdout + shown.stderr
    strict.remove("named")
