"""What the routers of other controllers make of changes, for controllers that share a database.

Every controller sees only its own routers. So each says in the database up to which change all its routers have
answered, and which artifacts they refuse; and each reads what the others say before it calls a change served.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.results import Change, RouterServing, Serving, ServingStatus
from gatewright.deployment.serving import Lane, ServingBoard
from gatewright.observability.logging import get_logger
from gatewright.store import Store, StoreUnavailable
from gatewright.store.rows import API_KEY

SETTLE_S: Final = 50.0
"""Longest wait for the own routers; then the change does not hold up the report, and its artifact is named as late."""

_LOOK_S: Final = 2.0
_MOST_REFUSED: Final = 1_000
_MOST_LATE: Final = 1_000
"""Artifacts that a report names as late; when there are more it says nothing new until there are fewer."""

_LONGEST_REASON: Final = 500
_log = get_logger(__name__)


class Report(msgspec.Struct, frozen=True):
    """Of one controller. `seq`: all changes up to here are in its snapshot, and all its routers have answered.

    `routers`: those that are connected and have an Envoy. `refused`: artifacts in quarantine there, with the reason.
    `late`: artifacts of which its routers have not answered all the same.
    """

    seq: int = 0
    routers: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    late: tuple[str, ...] = ()


class Peer(msgspec.Struct, frozen=True):
    """A living controller. `report` None: it has just started and has no routers yet."""

    id: str
    name: str
    holds: bool
    report: Report | None


class Peers:
    """One per controller. `run` until cancelled; on the loop of the board."""

    def __init__(
        self, store: Store, board: ServingBoard, routers: Callable[[], Sequence[str]], *, clock: Clock = utc_now
    ) -> None:
        """`routers` names those that are connected here and have an Envoy."""
        self._store = store
        self._board = board
        self._routers = routers
        self._clock = clock
        self._all: list[Peer] = []
        self._others: list[Peer] = []
        self._open: dict[int, asyncio.Task[None]] = {}
        self._suspects: set[str] = set()
        self._late: set[str] = set()
        self._floor = 0
        self._said: Report | None = None
        self._news = store.subscribe()
        self._waiters: set[asyncio.Event] = set()

    async def run(self) -> None:
        """Read what the others say, and say what changes here."""
        try:
            while True:
                self._news.clear()
                try:
                    await self._look()
                    await self._say()
                except StoreUnavailable:
                    _log.debug("other controllers cannot be heard: the database is away")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._news.wait()
        finally:
            for task in self._open.values():
                task.cancel()

    @property
    def all(self) -> Sequence[Peer]:
        """All living controllers, this one among them."""
        return self._all

    @property
    def routers(self) -> Sequence[str]:
        """The routers that living controllers have, as they last said."""
        return [router for peer in self._all if peer.report is not None for router in peer.report.routers]

    @property
    def holder(self) -> str:
        """The name of the controller that holds the connection to the control plane; empty while nobody does."""
        return next((peer.name for peer in self._all if peer.holds), "")

    # -- the board's side ----------------------------------------------------------------------------------------------

    def rolled(self, artifact_id: str, lane: Lane, seq: int) -> None:
        """A change is in the snapshot here."""
        if not self._others or not seq or seq in self._open:
            return
        change = Change(
            seq=seq,
            kind=API_KEY if lane == "keys" else "",
            entity_id=artifact_id,
            artifact_id=artifact_id,
            action="UPDATE",
            correlation_id="",
            at=self._clock(),
        )
        self._open[seq] = task = asyncio.create_task(self._settle(change), name="peers-settle")
        task.add_done_callback(lambda _done: self._settled(seq))

    def rolled_to(self, seq: int) -> None:
        """All changes up to `seq` are in the snapshot here."""
        if seq > self._floor:
            self._floor = seq
            if self._others:
                self._news.set()

    async def joined(self, own: Serving, change: Change, lane: Lane, deadline: float) -> Serving:
        """What all routers make of a change, when those here have said `own`. `deadline` in the time of the loop."""
        if own.state in {"refused", "timeout"}:
            return own
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            while True:
                late = ""
                for peer in self._others:
                    report = peer.report
                    if report is None:
                        continue
                    if report.seq < change.seq or change.artifact_id in report.late:
                        late = peer.name
                    elif lane == "artifact" and change.artifact_id in report.refused:
                        return Serving("refused", own.routers, _elsewhere(peer, report.refused[change.artifact_id]))
                if not late:
                    return self._sum(own)
                waiter.clear()
                try:
                    async with asyncio.timeout(max(0.0, deadline - asyncio.get_running_loop().time())):
                        await waiter.wait()
                except TimeoutError:
                    return Serving("timeout", own.routers, f"the routers of controller {late} have not answered yet")
        finally:
            self._waiters.discard(waiter)

    def status(self, own: ServingStatus) -> ServingStatus:
        """The status of an artifact with what others say of it."""
        reports = [(peer, peer.report) for peer in self._others if peer.report is not None]
        if own.state in {"unknown", "undeployed"} or not reports:
            return own
        uuid = own.artifact_id
        routers = [
            RouterServing(router, _word(uuid, report), report.refused.get(uuid))
            for _, report in reports
            for router in report.routers
        ]
        state, reason = own.state, own.reason
        refusing = next(((peer, report) for peer, report in reports if uuid in report.refused), None)
        if refusing is not None and state != "quarantined":
            state, reason = "quarantined", _elsewhere(refusing[0], refusing[1].refused[uuid])
        elif state in {"stored", "served"} and any(uuid in report.late for _, report in reports):
            state = "pending"
        elif state == "stored" and own.code is None and routers:
            state = "served" if all(report.seq >= self._floor for _, report in reports) else "pending"
        return msgspec.structs.replace(own, state=state, reason=reason, routers=(*own.routers, *routers))

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        self._all = [
            Peer(found.id, found.name, found.holds, _report(found.report))
            for found in await self._store.live_processes()
        ]
        self._others = [peer for peer in self._all if peer.id != self._store.process_id]
        for waiter in self._waiters:
            waiter.set()

    async def _say(self) -> None:
        seq = min(self._floor, min(self._open, default=self._floor + 1) - 1)
        late = self._still_late()
        if len(late) > _MOST_LATE:
            seq = min(seq, self._said.seq if self._said is not None else 0)
        report = Report(
            seq=seq, routers=tuple(self._routers()), refused=self._refused(), late=tuple(sorted(late)[:_MOST_LATE])
        )
        if report != self._said and (self._others or self._said is None):
            await self._store.report(report)
            self._said = report

    def _refused(self) -> dict[str, str]:
        refused: dict[str, str] = {}
        for uuid in [*self._board.quarantined(), *self._suspects][:_MOST_REFUSED]:
            status = self._board.status_here(uuid)
            if status.state == "quarantined":
                refused[uuid] = (status.reason or "refused")[:_LONGEST_REASON]
            else:
                self._suspects.discard(uuid)
        return refused

    def _still_late(self) -> set[str]:
        """Those of which the own routers have not answered up to now; whether they refuse the others is looked at."""
        answered = {uuid for uuid in self._late if self._board.answered(uuid)}
        self._late -= answered
        self._suspects |= answered
        return self._late

    async def _settle(self, change: Change) -> None:
        serving = await self._board.served_here(change, SETTLE_S)
        if serving.state == "refused":
            self._suspects.add(change.artifact_id)
        elif serving.state == "timeout":
            self._late.add(change.artifact_id)

    def _settled(self, seq: int) -> None:
        self._open.pop(seq, None)
        self._news.set()

    def _sum(self, own: Serving) -> Serving:
        others = sum(len(peer.report.routers) for peer in self._others if peer.report is not None)
        if not others:
            return own
        return Serving("served", own.routers + others) if own.reason is None else own


def _report(plain: object) -> Report | None:
    """None for what another release has written in another way: its routers are not waited for."""
    try:
        return None if plain is None else msgspec.convert(plain, Report)
    except msgspec.ValidationError:
        return None


def _word(uuid: str, report: Report) -> Literal["accepted", "refused", "pending"]:
    if uuid in report.refused:
        return "refused"
    return "pending" if uuid in report.late else "accepted"


def _elsewhere(peer: Peer, reason: str) -> str:
    return f"at controller {peer.name}: {reason}"
