"""Faults of every kind in seeded random schedules: afterwards gateway, control plane and Envoy agree on everything.

A schedule that fails prints its seed and what happened. It plays again with

    pytest tests/faults/test_schedules.py --seed 4711

(and `--long` where the long mode found it). The long mode plays 1,000; `--schedules 50` another number of them.
"""

from collections.abc import Iterator

import fault_play
import fault_schedule
import fault_verdict
import gateway_processes as processes
import pytest
from fault_world import World

DEFAULT = 20
LONG = 1_000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    option = metafunc.config.getoption
    seeds = option("--seed") or range(option("--schedules") or (LONG if option("--long") else DEFAULT))
    metafunc.parametrize("seed", seeds)


class Worlds:
    """A world for as many schedules as possible; another one after a failure, so that none spoils the next."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._world: World | None = None

    def world(self) -> World:
        if self._world is None:
            self._world = World(self._factory.mktemp("world")).__enter__()
        return self._world

    def close(self) -> None:
        if self._world is not None:
            world, self._world = self._world, None
            world.close()


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    made = Worlds(tmp_path_factory)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Takes the place of the fixture of this name: a world outlives its schedule, and ends its processes itself."""
    processes.ended.clear()


def test_a_schedule_is_a_function_of_its_seed() -> None:
    for each in range(200):
        assert str(fault_schedule.make(each)) == str(fault_schedule.make(each))
    kinds = {operation.subject for each in range(200) for operation in fault_schedule.make(each).lane("line")}
    assert kinds == set(fault_schedule.FAULT_KINDS)


@pytest.mark.conforms("CP-089", "CP-130")
def test_schedules(worlds: Worlds, seed: int) -> None:
    schedule = fault_schedule.make(seed, patient=seed >= DEFAULT and seed % 10 == 0)
    world = worlds.world()
    played = fault_play.Played(world, schedule)
    try:
        world.do(played.run())
        found = world.do(fault_verdict.judge(played))
    except BaseException:
        print(_report(played))
        worlds.close()
        raise
    if found:
        worlds.close()
        pytest.fail("\n".join((*found, "", _report(played))), pytrace=False)
    world.do(played.tidy())


def _report(played: fault_play.Played) -> str:
    told = "\n".join(played.told)
    again = f"again: pytest tests/faults/test_schedules.py --seed {played.schedule.seed}"
    return f"{played.schedule}\n\nwhat was done:\n{told}\n\nfaults that struck: {played.faults.hits}\n{again}"
