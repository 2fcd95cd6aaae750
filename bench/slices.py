"""Load in short slices, the measured things taking turns, so that whatever else the machine does hits all of them."""

import asyncio
import contextlib
import json
import signal
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bench.children import REPOSITORY, environment
from bench.measuring import cpu


class Target(msgspec.Struct, frozen=True):
    """Something to put load on. `envoy_pid` is the process whose CPU time is counted."""

    port: int
    path: str
    envoy_pid: int
    key: str = ""


class Slice(msgspec.Struct, frozen=True):
    """One turn: answers per second, CPU time of Envoy per answer in seconds, failures, percentiles in ms."""

    rate: float
    cpu_s: float
    failed: int
    p50_ms: float
    p99_ms: float


class LoadFailed(Exception):
    """The load generator has ended without a result, or nothing was answered."""


async def interleaved(
    targets: Mapping[str, Target], *, rounds: int, seconds: float, connections: int
) -> dict[str, list[Slice]]:
    """`rounds` slices of each target, in turns that change direction; a short first turn of each is not counted."""
    found: dict[str, list[Slice]] = {name: [] for name in targets}
    for target in targets.values():
        await _slice(target, seconds=min(seconds, 0.5), connections=connections)
    order = list(targets)
    for _ in range(rounds):
        for name in order:
            found[name].append(await _slice(targets[name], seconds=seconds, connections=connections))
        order.reverse()
    return found


def ratio(found: Sequence[Slice], base: Sequence[Slice]) -> float:
    """Throughput against that of `base`: each slice by its neighbour of the same round, the median of these."""
    return statistics.median(one.rate / other.rate for one, other in zip(found, base, strict=True))


def cpu_ratio(found: Sequence[Slice], base: Sequence[Slice]) -> float:
    """The same with requests per second of Envoy's CPU time: what the machine does beside it does not count."""
    return statistics.median(other.cpu_s / one.cpu_s for one, other in zip(found, base, strict=True))


async def _slice(target: Target, *, seconds: float, connections: int) -> Slice:
    before = cpu(target.envoy_pid)
    async with load(target, connections=connections, seconds=seconds) as running:
        result = await running.result()
    answered = result["requests"]
    if not answered:
        raise LoadFailed(f"nothing answers on port {target.port}: {result}")
    return Slice(
        rate=result["rate"],
        cpu_s=(cpu(target.envoy_pid) - before) / answered,
        failed=result["failed"],
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
    )


class Load:
    """A running load generator."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def finish(self) -> dict[str, Any]:
        """End it (only when it was started without `seconds`) and take its result. Raises LoadFailed."""
        if self._process.stdin is not None:
            self._process.stdin.write(b"\n")
            self._process.stdin.close()
        return await self.result()

    async def result(self) -> dict[str, Any]:
        """What it has counted, once it has ended. Raises LoadFailed."""
        assert self._process.stdout is not None
        output = await self._process.stdout.read()
        if await self._process.wait() or not output:
            raise LoadFailed("the load generator has failed")
        counted: dict[str, Any] = json.loads(output)
        return counted


@asynccontextmanager
async def load(target: Target, *, connections: int, seconds: float | None = None) -> AsyncIterator[Load]:
    """Load in a process of its own, for `seconds` or until `finish`; ended with the block in any case."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", "--port", str(target.port), "--path", target.path,
        "--connections", str(connections),
        *(["--header", f"API-Key: {target.key}"] if target.key else []),
        *(["--until-stdin"] if seconds is None else ["--seconds", str(seconds)]),
        stdin=asyncio.subprocess.PIPE if seconds is None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
        env=environment(),
        start_new_session=True,
    )  # fmt: skip
    try:
        yield Load(process)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
