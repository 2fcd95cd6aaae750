"""Backend, plain Envoy, load generator and poller, as real processes."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from bench.caller import Caller, NotAnswered
from bench.children import Children
from bench.ports import HOST, free_port
from bench.slices import LoadFailed, Target, interleaved, load

from bench import documents, plain
from gatewright.artifacts.restapi_validation import parse_restapi
from gatewright.demo.children import Child, ChildEnded
from gatewright.router.binary import locate


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    started = Children(tmp_path)
    yield started
    await started.close()


async def backend(children: Children) -> tuple[Child, int]:
    child = children.start("backend", (sys.executable, "-m", "bench.backend", "--addresses", "3"))
    while not (told := " ".join(child.tail(1))).isdigit():
        child.check()
    return child, int(told)


async def test_the_plain_envoy_is_measured_by_turns(children: Children, tmp_path: Path) -> None:
    child, port = await backend(children)
    front = free_port()
    file = tmp_path / "plain.json"
    file.write_text(json.dumps(plain.same_api(front, port, "/some")))
    envoy = children.start("plain", (str(locate()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart"))
    with closing(Caller(front)) as caller:
        await caller.until(200, "/some/items/42")
        assert [caller.status(path) for path in ("/some/items", "/some/reports/1/2", "/some/status")] == [200] * 3
        assert [caller.status(path) for path in ("/other", "/some/items/1/2", "/some/reports/1")] == [404] * 3
    targets = {"direct": Target(port, "/x", child.pid), "plain": Target(front, "/some/items/42", envoy.pid)}
    found = await interleaved(targets, rounds=2, seconds=0.2, connections=2)
    assert [one.failed for slices in found.values() for one in slices] == [0] * 4
    assert all(one.rate > 10 and one.cpu_s >= 0 for slices in found.values() for one in slices)


async def test_every_address_of_the_backend_answers(children: Children) -> None:
    _, port = await backend(children)
    with closing(Caller(port)) as caller:
        assert caller.status("/") == 200


async def test_load_until_told_to_end_counts_wrong_answers(children: Children, tmp_path: Path) -> None:
    child, port = await backend(children)
    front = free_port()
    file = tmp_path / "plain.json"
    file.write_text(json.dumps(plain.one_prefix(front, port, "/some")))
    children.start("plain", (str(locate()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart"))
    with closing(Caller(front)) as caller:
        await caller.until(404, "/other")
        async with load(Target(front, "/other", child.pid), connections=2) as running:
            await caller.until(200, "/some/1")
            counted = await running.finish()
    assert counted["failed"] == counted["requests"]
    assert set(counted["statuses"]) <= {"404"}


async def test_nobody_there(children: Children) -> None:
    del children
    port = free_port()
    with closing(Caller(port)) as caller, pytest.raises(NotAnswered, match="still answers nothing"):
        await caller.until(200, "/", timeout_s=0.05)
    async with load(Target(port, "/", os.getpid()), connections=1, seconds=0.1) as running:
        with pytest.raises(LoadFailed):
            await running.result()


async def test_a_process_that_ends_by_itself_is_told_from_one_that_is_ended(children: Children) -> None:
    ending = children.start("ending", (sys.executable, "-c", ""))
    ending.kill()
    with pytest.raises(ChildEnded, match="ending has ended"):
        children.check()
    await children.stop(ending)
    children.check()


def test_ports_are_given_once() -> None:
    assert len({free_port() for _ in range(20)}) == 20
    assert HOST == "127.0.0.1"


def test_every_api_has_an_upstream_of_its_own() -> None:
    assert len({documents.silent_upstream(number) for number in range(2000)}) == 2000


@pytest.mark.parametrize("protected", [False, True])
def test_the_documents_have_eight_operations(*, protected: bool) -> None:
    document = parse_restapi(documents.rest_api("x", "http://127.0.0.1:1", protected=protected), "application/json")
    assert len(document["spec"]["operations"]) == 8
    assert ("policies" in document["spec"]) is protected
