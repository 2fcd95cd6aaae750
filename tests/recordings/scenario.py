"""What a scenario is made of: steps at both sides, each of which ends when nothing passes any more."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from controlplane_lab import Site, rest_api, running_site, until
from recorded_recorder import Recorder
from recorded_site import act, stored

from gatewright.controlplane.plane import ControlPlane

C = TypeVar("C")

QUIET = 1.0
"""Seconds without a message after which a step is over. The hub's pings come more often: what was sent before the
connection is lost has been confirmed by then, and is not sent again."""

KEY_POLICY = {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}}


def document(handle: str, **spec: Any) -> dict[str, Any]:
    made = rest_api(handle)
    made["spec"] |= spec
    return made


class Scenario(Generic[C]):
    """Steps one after the other. `client`: of the people at the control plane."""

    def __init__(self, recorder: Recorder, client: C) -> None:
        self.recorder = recorder
        self.client = client
        self.site: Site | None = None
        self.plane: ControlPlane | None = None

    async def at_gateway(self, name: str, what: dict[str, Any], *, echo: bool = False) -> None:
        """Something at the gateway. `echo`: it sets off an event there, which comes as a step of its own.

        Whether an event overtakes the answer to the call that caused it is chance, and not what is recorded.
        """
        assert self.site is not None
        self.recorder.step(name, gateway=what)
        if echo:
            self.recorder.hold()
        await act(self.site, what, self.plane)
        await self.ends()
        if echo:
            self.recorder.step("the event that this sets off")
            self.recorder.release()
            await self.ends()

    async def dropped(self, name: str) -> None:
        """The connection is lost and comes back."""
        assert self.plane is not None
        self.recorder.step(name, control_plane="drop")
        before = self.plane.status().last_reconcile
        self.recorder.drop()
        await until(lambda: self.plane is not None and self.plane.status().last_reconcile is not before)
        await self.ends()

    async def at_control_plane(self, name: str, done: Callable[[C], Awaitable[Any]]) -> Any:
        """Something that people do at the control plane."""
        self.recorder.step(name)
        result = await done(self.client)
        await self.ends()
        return result

    async def second(self) -> None:
        """After something that is done between two steps: times in whole seconds are then in order, too."""
        await asyncio.sleep(1.1)

    async def ends(self) -> None:
        await until(lambda: bool(self.recorder.steps[-1]["conversation"]))
        await until(self._idle)
        await self.recorder.quiet(QUIET)
        assert self.site is not None
        self.recorder.steps[-1]["leaves"] = await stored(self.site)

    @asynccontextmanager
    async def gateway(self, name: str, path: Path, settings: Any, **what: Any) -> AsyncIterator[None]:
        """A gateway with its database at `path` starts."""
        async with running_site(path) as site:
            self.site = site
            self.recorder.step(name, gateway={"start": path.stem, **what})
            async with site.linked(settings) as plane:
                self.plane = plane
                await until(lambda: plane.status().last_reconcile is not None)
                await self.ends()
                yield

    def _idle(self) -> bool:
        assert self.plane is not None
        status = self.plane.status()
        return status.state == "connected" and not (status.waiting or status.acks_owed or status.pushes_pending)
