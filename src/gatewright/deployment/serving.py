"""What the data plane says of each artifact, and the callers who wait for it.

The rollout writes here, `Deployments.served` and `.status` read. Memory only: after a restart it is filled by the first
roll-out. Belongs to one event loop.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from gatewright.deployment.results import Change, RouterServing, Serving, ServingStatus
from gatewright.store.rows import CREDENTIAL_KINDS

ResourceId = tuple[str, str]
"""Type URL and name of an xDS resource."""

_VERDICT_S = 5.0

Lane = Literal["artifact", "keys"]


class Settled(msgspec.Struct, frozen=True):
    """What the connected routers made of a set of resource versions.

    `refused` is the words of a router that refused one of them. `pending` routers have not answered.
    """

    routers: tuple[RouterServing, ...] = ()

    @property
    def refused(self) -> str | None:
        """The first refusal's words."""
        return next((router.reason or "" for router in self.routers if router.state == "refused"), None)

    @property
    def pending(self) -> bool:
        """Whether a router still owes an answer."""
        return any(router.state == "pending" for router in self.routers)


class FirstAnswer(msgspec.Struct, frozen=True):
    """The router that answered first (None: there is none); `sent`: when it was given the resources (ns since 1970)."""

    router: RouterServing | None
    sent: int | None = None


RefusalListener = Callable[[ResourceId, str, str], None]
"""Called with the resource, the refused version and the router's words."""


class DataPlane(Protocol):
    """The routers, seen from the deployment room. A version of None stands for a removed resource."""

    def on_refusal(self, listener: RefusalListener) -> None:
        """Call `listener` for every refusal of a resource from now on; it must not block."""
        ...

    async def settled(self, resources: Mapping[ResourceId, str | None], timeout: float) -> Settled:  # noqa: ASYNC109
        """Wait until every connected router has accepted or refused these versions (or newer ones), or `timeout` s."""
        ...

    async def first(self, resources: Mapping[ResourceId, str | None], timeout: float) -> FirstAnswer:  # noqa: ASYNC109
        """Wait until one router has accepted or refused these versions, or `timeout` s."""
        ...

    def now(self, resources: Mapping[ResourceId, str | None]) -> Settled:
        """The same, without waiting."""
        ...


class PeersPort(Protocol):
    """Other controllers and their routers; `deployment.peers.Peers` is one."""

    def rolled(self, artifact_id: str, lane: Lane, seq: int) -> None:
        """A change is in the snapshot here."""
        ...

    def rolled_to(self, seq: int) -> None:
        """All changes up to `seq` are."""
        ...

    async def joined(self, own: Serving, change: Change, lane: Lane, deadline: float) -> Serving:
        """What all routers make of a change."""
        ...

    def status(self, own: ServingStatus) -> ServingStatus:
        """The status of an artifact with what others say of it."""
        ...


class ReturningPort(Protocol):
    """Routers that are on their way back after a start; `deployment.returning.Returning` is one."""

    @property
    def expects_some(self) -> bool:
        """Whether that none is connected says nothing yet."""
        ...

    async def settled(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait until it does; False after `timeout` s."""
        ...


class Rolled(msgspec.Struct, frozen=True):
    """An artifact as the rollout has put it into the snapshot.

    `version` identifies the newest content, `serving_version` the content in the snapshot; they differ in quarantine.
    `idle` is deployed without traffic of its own. `resources` carry it now, `left` carried it before: a change is
    complete when they too are settled.
    """

    state: Literal["serving", "idle", "quarantined", "undeployed", "deleted"]
    since: datetime
    version: str | None = None
    serving_version: str | None = None
    code: str | None = None
    reason: str | None = None
    resources: tuple[ResourceId, ...] = ()
    left: tuple[ResourceId, ...] = ()


class ServingBoard:
    """Status of every artifact."""

    def __init__(self) -> None:
        self._data_plane: DataPlane | None = None
        self._peers: PeersPort | None = None
        self._returning: ReturningPort | None = None
        self._version_of: Callable[[ResourceId], str | None] = _unknown
        self._model_of: Callable[[str], str | None] = _unknown
        self._entries: dict[str, Rolled] = {}
        self._quarantined: dict[str, None] = {}
        self._done: dict[Lane, dict[str, int]] = {"artifact": {}, "keys": {}}
        self._floor = 0
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}

    def attach(
        self,
        data_plane: DataPlane,
        *,
        version_of: Callable[[ResourceId], str | None],
        model_of: Callable[[str], str | None],
    ) -> None:
        """Where to ask about routers, about the version of a resource in the snapshot, and the model of an artifact.

        Until then nothing is served.
        """
        self._data_plane = data_plane
        self._version_of = version_of
        self._model_of = model_of

    def join(self, peers: PeersPort) -> None:
        """From now on the routers of other controllers count too."""
        self._peers = peers
        peers.rolled_to(self._floor)

    def expect(self, returning: ReturningPort) -> None:
        """From now on nothing is called stored for want of routers as long as some are awaited."""
        self._returning = returning

    # -- the rollout's side ----------------------------------------------------------------------------------------

    def put(self, artifact_id: str, rolled: Rolled) -> None:
        """The newest state of an artifact."""
        self._entries[artifact_id] = rolled
        if rolled.state == "quarantined":
            self._quarantined[artifact_id] = None
        else:
            self._quarantined.pop(artifact_id, None)
        self._wake(artifact_id)

    def get(self, artifact_id: str) -> Rolled | None:
        """The state that was put last."""
        return self._entries.get(artifact_id)

    def done(self, artifact_id: str, lane: Lane, seq: int) -> None:
        """Changes of this artifact up to `seq` are in the snapshot."""
        self._done[lane][artifact_id] = max(seq, self._done[lane].get(artifact_id, 0))
        self._wake(artifact_id)
        if self._peers is not None:
            self._peers.rolled(artifact_id, lane, seq)

    def all_done(self, seq: int) -> None:
        """Everything up to `seq` is in the snapshot; notes about single artifacts up to there are forgotten."""
        self._floor = max(seq, self._floor)
        for lane in self._done.values():
            for artifact_id in [key for key, value in lane.items() if value <= seq]:
                del lane[artifact_id]
        for artifact_id in list(self._waiters):
            self._wake(artifact_id)
        if self._peers is not None:
            self._peers.rolled_to(self._floor)

    def reconsider(self, artifact_ids: Iterable[str]) -> None:
        """Whoever waits for one of these looks again: a refusal has been looked into."""
        for artifact_id in artifact_ids:
            self._wake(artifact_id)

    def forget(self, artifact_id: str) -> None:
        """The artifact is gone and its removal has been rolled out."""
        self._entries.pop(artifact_id, None)
        self._quarantined.pop(artifact_id, None)

    # -- the callers' side -----------------------------------------------------------------------------------------

    async def served(self, change: Change, timeout: float) -> Serving:  # noqa: ASYNC109 - the caller's deadline
        """See Deployments.served."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            serving = await self.served_here(change, deadline - loop.time())
            if self._peers is not None:
                serving = await self._peers.joined(serving, change, _lane(change), deadline)
            returning = self._returning
            if (
                serving.state != "stored"
                or returning is None
                or not returning.expects_some
                or not self._has_traffic(change)
            ):
                return serving
            if not await returning.settled(deadline - loop.time()):
                return Serving("timeout", 0, "no router has come back since the start of the controller")

    def _has_traffic(self, change: Change) -> bool:
        entry = self._entries.get(change.artifact_id)
        return entry is not None and (entry.state == "serving" or bool(entry.left))

    async def served_here(self, change: Change, timeout: float) -> Serving:  # noqa: ASYNC109
        """The same, of the routers that are connected here."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        lane = _lane(change)
        while not self._is_done(change, lane):
            if not await self._wait(change.artifact_id, deadline - loop.time()):
                return Serving("timeout", 0, "the change has not been rolled out yet")
        return await self._answer(change, lane, deadline)

    async def _answer(self, change: Change, lane: Lane, deadline: float) -> Serving:
        """Ask the routers; start over when the rollout changes its mind meanwhile (a refusal puts in quarantine)."""
        loop = asyncio.get_running_loop()
        while True:
            entry = self._entries.get(change.artifact_id)
            if entry is not None and entry.state == "quarantined" and lane == "artifact":
                return Serving("refused", 0, entry.reason)
            if entry is None or self._data_plane is None:
                return Serving("stored")
            if entry.state == "idle" and not entry.left:
                return Serving("stored", 0, entry.reason)
            resources = self._versions((*entry.resources, *entry.left))
            settled = await self._data_plane.settled(resources, max(0.0, deadline - loop.time()))
            if self._entries.get(change.artifact_id) is not entry:
                continue
            # A refusal may have come for the sake of a neighbour: whom it concerns is being found out.
            in_question = self._in_question(change.artifact_id, entry)
            if in_question or settled.refused is not None:
                patience = min(_VERDICT_S, deadline - loop.time())
                if await self._wait(change.artifact_id, patience):
                    continue
            return _verdict(settled, in_question=in_question)

    def status(self, artifact_id: str) -> ServingStatus:
        """See Deployments.status."""
        own = self.status_here(artifact_id)
        return own if self._peers is None else self._peers.status(own)

    def status_here(self, artifact_id: str) -> ServingStatus:
        """The same, of the routers that are connected here."""
        entry = self._entries.get(artifact_id)
        if entry is None:
            return ServingStatus(artifact_id=artifact_id, state="unknown")
        settled = Settled()
        if self._data_plane is not None:
            settled = self._data_plane.now(self._versions(entry.resources or entry.left))
        return ServingStatus(
            artifact_id=artifact_id,
            state="pending" if self._in_question(artifact_id, entry) else _state(entry, settled),
            version=entry.version,
            serving_version=entry.serving_version,
            code=entry.code,
            reason=entry.reason or settled.refused,
            since=entry.since,
            routers=settled.routers,
        )

    def answered(self, artifact_id: str) -> bool:
        """Whether the routers here have said what they make of an artifact, and of what carried it before."""
        entry = self._entries.get(artifact_id)
        if entry is None or self._data_plane is None:
            return True
        settled = self._data_plane.now(self._versions((*entry.resources, *entry.left)))
        return not settled.pending and not self._in_question(artifact_id, entry)

    def artifacts(self) -> list[str]:
        """The artifacts that are there."""
        return [artifact_id for artifact_id, entry in self._entries.items() if entry.state != "deleted"]

    def quarantined(self) -> list[str]:
        """The artifacts in quarantine."""
        return list(self._quarantined)

    def _in_question(self, artifact_id: str, entry: Rolled) -> bool:
        """Whether another version than the newest stands in for it just now, until a refusal has been looked into."""
        return (
            entry.state == "serving" and self._data_plane is not None and self._model_of(artifact_id) != entry.version
        )

    def _versions(self, keys: tuple[ResourceId, ...]) -> dict[ResourceId, str | None]:
        return {key: self._version_of(key) for key in keys}

    def _is_done(self, change: Change, lane: Lane) -> bool:
        return change.seq <= self._floor or change.seq <= self._done[lane].get(change.artifact_id, 0)

    async def _wait(self, artifact_id: str, timeout: float) -> bool:  # noqa: ASYNC109
        """Wait for news of an artifact; False when there were none in time."""
        if timeout <= 0:
            return False
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(artifact_id, []).append(waiter)
        try:
            await asyncio.wait_for(waiter, timeout)
        except TimeoutError:
            return False
        finally:
            waiters = self._waiters.get(artifact_id)
            if waiters is not None and waiter in waiters:
                waiters.remove(waiter)
                if not waiters:
                    del self._waiters[artifact_id]
        return True

    def _wake(self, artifact_id: str) -> None:
        for waiter in self._waiters.pop(artifact_id, ()):
            if not waiter.done():
                waiter.set_result(None)


def _lane(change: Change) -> Lane:
    return "keys" if change.kind in CREDENTIAL_KINDS else "artifact"


def _verdict(settled: Settled, *, in_question: bool) -> Serving:
    accepted = sum(router.state == "accepted" for router in settled.routers)
    if settled.refused is not None:
        return Serving("refused", accepted, settled.refused)
    if in_question:
        return Serving("timeout", 0, "a refusal is being looked into")
    if not settled.routers:
        return Serving("stored")
    if settled.pending:
        return Serving("timeout", accepted, "not all routers have answered")
    return Serving("served", accepted)


def _unknown(_key: object) -> str | None:
    return None


def _state(
    entry: Rolled, settled: Settled
) -> Literal["pending", "served", "stored", "quarantined", "undeployed", "unknown"]:
    if entry.state == "quarantined" or settled.refused is not None:
        return "quarantined"
    if entry.state == "deleted":
        return "unknown"
    if entry.state == "undeployed":
        return "undeployed"
    if entry.state == "idle":
        return "stored"
    if not settled.routers:
        return "stored"
    return "pending" if settled.pending else "served"
