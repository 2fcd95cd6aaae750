"""Many gateways as far as the wire goes: the product's own link machine and socket, without a gateway behind it."""

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any, Self

from pydantic import SecretStr

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.connection import Connection
from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.link import Link, State
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.rest import Rest
from gatewright.controlplane.signals import Linked
from gatewright.controlplane.trust import Trust

_NOBODY_THERE = frozenset({"LINK_UNREACHABLE", "LINK_TIMEOUT", "LINK_LOST"})


class Member:
    """One gateway of the fleet, and all that it has seen. Times are those of the event loop, in seconds."""

    def __init__(self, token: str, config: LinkConfig, trust: Trust) -> None:
        self.attempts: list[float] = []
        self.failures: list[tuple[float, Problem]] = []
        self.events: list[dict[str, Any]] = []
        self.linked = asyncio.Event()
        credentials = Credentials(lambda: SecretStr(token))
        self._rest = Rest(config.host, credentials)
        self._connection = Connection(
            config.host,
            Link(initial=config.reconnect_initial, maximum=config.reconnect_max, random=random.random),
            rest=self._rest,
            trust=trust,
            credentials=credentials,
            observer=self,
            remember=_forget,
        )

    def start(self) -> None:
        """Begin to connect."""
        self._connection.start()

    async def stop(self) -> None:
        """End for good."""
        await self._connection.stop()
        await self._rest.close()

    def on_linked(self, _linked: Linked) -> None:
        """See Observer."""
        self.linked.set()

    def on_unlinked(self) -> None:
        """See Observer."""
        self.linked.clear()

    def on_event(self, text: str) -> None:
        """See Observer."""
        self.events.append(json.loads(text))

    def on_failed(self, problem: Problem, delay: float) -> None:
        """See Observer."""
        del delay
        self.failures.append((_now(), problem))

    def on_state(self, state: State) -> None:
        """See Observer."""
        if state is State.CONNECTING:
            self.attempts.append(_now())


_TOGETHER = 20
_START_S = 60.0


class Fleet:
    """All of them, towards one control plane. An async context manager: connected when it is entered.

    They start some at a time: how they come back is what is looked at, and not how they came.
    """

    def __init__(self, tokens: Iterable[str], config: LinkConfig) -> None:
        trust = Trust(config)
        self.members = [Member(token, config, trust) for token in tokens]

    async def __aenter__(self) -> Self:
        try:
            for first in range(0, len(self.members), _TOGETHER):
                some = self.members[first : first + _TOGETHER]
                for member in some:
                    member.start()
                async with asyncio.timeout(_START_S):
                    await asyncio.gather(*(member.linked.wait() for member in some))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(member.stop() for member in self.members))

    async def linked(self, timeout: float) -> None:  # noqa: ASYNC109 - the caller's patience
        """Wait until all are connected. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await asyncio.gather(*(member.linked.wait() for member in self.members))

    async def unlinked(self, timeout: float) -> None:  # noqa: ASYNC109 - the caller's patience
        """Wait until none is connected. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while any(member.linked.is_set() for member in self.members):  # noqa: ASYNC110 - one wait for many events
                await asyncio.sleep(0.02)

    def attempts_since(self, moment: float) -> list[float]:
        """When the attempts to connect were begun, from `moment` on."""
        return sorted(at for member in self.members for at in member.attempts if at >= moment)

    def refusals_since(self, moment: float) -> list[Problem]:
        """What a control plane that is there has answered instead of opening a connection, from `moment` on."""
        problems = (problem for member in self.members for at, problem in member.failures if at >= moment)
        return [problem for problem in problems if problem.code not in _NOBODY_THERE]


def peak(times: Sequence[float], window: float) -> int:
    """The most of sorted `times` that lie within one `window`, in seconds."""
    most, start = 0, 0
    for end, time in enumerate(times):
        while time - times[start] >= window:
            start += 1
        most = max(most, end - start + 1)
    return most


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _forget(_path: str) -> None:
    """The fleet lives in one run: nothing is kept."""
