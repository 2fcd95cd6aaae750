"""One process kept running. Any program will do as the child."""

import asyncio
import os
import signal
from io import BytesIO
from pathlib import Path

import pytest

from gatewright.router.launcher import CANNOT_EXECUTE
from gatewright.router.supervisor import Exit, State, Supervisor

TIMEOUT_S = 60
SHELL = "/bin/sh"


class Watch:
    """Remembers the states of a supervisor and lets a test wait for one."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.states: list[State] = []
        self._news = asyncio.Event()
        supervisor.on_change(self._changed)

    def _changed(self) -> None:
        self.states.append(self.supervisor.state)
        self._news.set()

    async def until(self, state: State, times: int = 1) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.states.count(state) < times:
                self._news.clear()
                await self._news.wait()


async def test_a_child_that_ends_is_started_again_with_growing_waits(tmp_path: Path) -> None:
    supervisor = Supervisor([SHELL, "-c", "exit 3"], longest_delay_s=0.4)
    watch = Watch(supervisor)
    supervisor.start()

    await watch.until("waiting", 3)

    assert supervisor.restarts >= 3
    assert supervisor.last_exit == Exit(3, "exit status 3")
    await supervisor.stop()
    assert supervisor.state == "stopped"


async def test_the_reason_of_an_end_is_in_plain_words(tmp_path: Path) -> None:
    supervisor = Supervisor([SHELL, "-c", "echo \"cannot bind '0.0.0.0:80': Address already in use\" >&2; exit 1"])
    watch = Watch(supervisor)
    supervisor.start()
    await watch.until("waiting")

    assert supervisor.problem is not None
    assert supervisor.problem.code == "PORT_IN_USE"
    assert supervisor.last_exit is not None
    assert supervisor.last_exit.reason == supervisor.problem.message
    await supervisor.stop()


async def test_a_binary_that_cannot_be_executed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "envoy"
    file.write_bytes(b"\x00not a program")
    file.chmod(0o755)
    supervisor = Supervisor([str(file)])
    watch = Watch(supervisor)
    supervisor.start()
    await watch.until("waiting")

    assert supervisor.last_exit is not None
    assert supervisor.last_exit.status == CANNOT_EXECUTE
    assert "Exec format error" in supervisor.last_exit.reason
    await supervisor.stop()


async def test_the_child_has_its_own_process_group_and_is_told_to_end(tmp_path: Path) -> None:
    supervisor = Supervisor([SHELL, "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"])
    watch = Watch(supervisor)
    supervisor.start()
    await watch.until("running")
    pid = supervisor.pid
    assert pid is not None

    group = os.getpgid(pid)
    await supervisor.stop()

    assert group == pid
    assert supervisor.pid is None
    assert "waiting" not in watch.states


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.router.supervisor.TERMINATE_GRACE_S", 0.2)
    ready = tmp_path / "ready"
    supervisor = Supervisor([SHELL, "-c", f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done"])
    watch = Watch(supervisor)
    supervisor.start()
    await watch.until("running")
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if ready.exists():
                break
            await asyncio.sleep(0.01)

    await supervisor.stop()

    assert supervisor.pid is None


async def test_draining_comes_before_the_end(tmp_path: Path) -> None:
    supervisor = Supervisor([SHELL, "-c", "sleep 60"])
    watch = Watch(supervisor)
    supervisor.start()
    await watch.until("running")
    running: list[int | None] = []

    async def drain() -> None:
        running.append(supervisor.pid)

    await supervisor.stop(drain)
    await supervisor.stop(drain)

    assert len(running) == 1
    assert running[0] is not None


async def test_a_long_run_forgets_earlier_crashes(tmp_path: Path) -> None:
    supervisor = Supervisor([SHELL, "-c", "sleep 60"], longest_delay_s=60, stable_after_s=0.0)
    watch = Watch(supervisor)
    supervisor.start()
    for times in range(1, 5):
        await watch.until("running", times)
        assert supervisor.pid is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        await watch.until("waiting", times)

    assert supervisor.restarts == 4
    await supervisor.stop()


async def test_standard_output_is_passed_on(tmp_path: Path) -> None:
    sink = BytesIO()
    supervisor = Supervisor([SHELL, "-c", "echo a line; sleep 60"], access_log=sink)
    supervisor.start()
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            if sink.getvalue():
                break
            await asyncio.sleep(0.01)

    assert sink.getvalue() == b"[rtr] a line\n"
    await supervisor.stop()
