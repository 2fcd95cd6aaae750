"""Truthful acknowledgements of deployments.

`success` is said once every connected router has accepted that very version, or once it is stored when no router is
connected; `failed` when it was refused or does not compile. As long as neither is known nothing is said, however long
that takes: a control plane takes `failed` for final, whatever comes later, and its own deadline (60 s) has a name of
its own. A newer deployment of the same artifact, or its deletion, ends the wait for an older one. What cannot be sent
because the connection is gone waits for the next one, and so does what was sent shortly before it went: nobody knows
whether it arrived, and once more does no harm. Source: control-plane protocol reference 2.6, 6.7.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec

from gatewright.controlplane import metrics
from gatewright.controlplane.journal import Entry, Journal
from gatewright.deployment import Deployments
from gatewright.deployment.ids import Clock
from gatewright.deployment.results import Change
from gatewright.observability.logging import get_logger
from gatewright.wire.acks import (
    ACTION_DEPLOY,
    ACTION_UNDEPLOY,
    DEPLOYMENT_ACK,
    PROCESSING_ERROR,
    STATUS_FAILED,
    STATUS_SUCCESS,
    DeploymentAck,
    encode_deployment_ack,
)
from gatewright.wire.events import DeploymentEvent
from gatewright.wire.kinds import NAMES
from gatewright.wire.times import ZERO_TIME

LATE: Final = 50.0
"""Seconds of waiting for the data plane after which people are told that an acknowledgement is still owed."""

IN_DOUBT: Final = 60.0
"""Seconds before the loss of a connection. A dead one is noticed by either side within about 40."""

_REMEMBERED: Final = 20_000
_UNSENT: Final = 10_000
_Key = tuple[str, str, int]
_log = get_logger(__name__)


class _Owed(msgspec.Struct, frozen=True):
    """An acknowledgement that waits for its outcome."""

    event: DeploymentEvent
    correlation_id: str
    received: float


class Acknowledger:
    """Sends one acknowledgement per deployment event; `send` says whether it went out."""

    def __init__(
        self, deployments: Deployments, send: Callable[[str], Awaitable[bool]], *, clock: Clock, journal: Journal
    ) -> None:
        self._deployments = deployments
        self._send = send
        self._clock = clock
        self._journal = journal
        self._waits: dict[str, tuple[_Key, asyncio.Task[None]]] = {}
        self._sends: set[asyncio.Task[None]] = set()
        self._unsent: OrderedDict[str, DeploymentAck] = OrderedDict()
        self._sent: OrderedDict[str, tuple[DeploymentAck, float]] = OrderedDict()
        self._said: OrderedDict[str, tuple[_Key, bool]] = OrderedDict()

    @property
    def owed(self) -> int:
        """Acknowledgements that wait for the data plane or for a connection."""
        return len(self._waits) + len(self._unsent)

    def applied(self, event: DeploymentEvent, change: Change, *, correlation_id: str, received: float) -> None:
        """The event is stored as `change`: acknowledge it when the data plane has it."""
        self.forget(event.artifact_id)
        owed = _Owed(event, correlation_id, received)
        task = asyncio.create_task(self._when_served(owed, change), name="deployment-ack")
        self._waits[event.artifact_id] = (_key(event), task)
        task.add_done_callback(lambda done: self._finished(event.artifact_id, done))

    def outcome(
        self, event: DeploymentEvent, *, correlation_id: str, received: float, error_code: str = "", detail: str = ""
    ) -> None:
        """Acknowledge at once: failed when `error_code` is set, else success."""
        self._acknowledge(_Owed(event, correlation_id, received), error_code, detail)

    def said(self, event: DeploymentEvent) -> bool:
        """Whether this very deployment has been answered, or is about to be, since the process started."""
        wait = self._waits.get(event.artifact_id)
        key, said = _key(event), self._said.get(event.artifact_id)
        return (said is not None and said[0] == key) or (wait is not None and wait[0] == key)

    def denied(self, event: DeploymentEvent) -> bool:
        """Whether this very deployment was answered `failed`, and nothing better is about to be said."""
        return self._said.get(event.artifact_id) == (_key(event), True) and event.artifact_id not in self._waits

    def forget(self, artifact_id: str) -> None:
        """Nothing more is to be said of what was deployed so far: something newer came."""
        self._unsent.pop(artifact_id, None)
        self._sent.pop(artifact_id, None)
        wait = self._waits.pop(artifact_id, None)
        if wait is not None:
            wait[1].cancel()

    def deleted(self, artifact_id: str) -> None:
        """Nothing more is to be said of an artifact at all."""
        self.forget(artifact_id)
        self._said.pop(artifact_id, None)

    def lost(self) -> None:
        """The connection is gone: what was sent shortly before may never have arrived."""
        horizon = asyncio.get_running_loop().time() - IN_DOUBT
        in_doubt = {artifact_id: ack for artifact_id, (ack, at) in self._sent.items() if at >= horizon}
        self._sent.clear()
        # What has failed to be sent since is newer.
        self._unsent = OrderedDict({**in_doubt, **self._unsent})
        self._trim()

    def resend(self) -> None:
        """There is a connection again: send what is left."""
        unsent, self._unsent = self._unsent, OrderedDict()
        for ack in unsent.values():
            self._spawn(ack)

    async def stop(self) -> None:
        """End all waits; nothing is sent any more."""
        tasks = [*(task for _, task in self._waits.values()), *self._sends]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _when_served(self, owed: _Owed, change: Change) -> None:
        serving = await self._deployments.served(change, LATE)
        if serving.state == "timeout":
            self._note_late(owed, serving.reason or "no answer")
        while serving.state == "timeout":
            # Bounded by the number of artifacts: each has one wait, which what comes after it ends.
            serving = await self._deployments.served(change, LATE)
        if serving.state == "refused":
            self._acknowledge(owed, PROCESSING_ERROR, serving.reason or "refused by a router")
        else:
            self._acknowledge(owed, "", serving.state)

    def _note_late(self, owed: _Owed, why: str) -> None:
        seconds = asyncio.get_running_loop().time() - owed.received
        _log.warning(
            "a deployment is not confirmed yet; it is acknowledged when it is",
            artifact=owed.event.artifact_id,
            detail=why,
            duration_ms=round(seconds * 1000, 1),
            correlation_id=owed.correlation_id,
        )

    def _acknowledge(self, owed: _Owed, error_code: str, detail: str) -> None:
        event = owed.event
        # The newest of each artifact is enough: a list of the control plane names no other.
        self._said[event.artifact_id] = (_key(event), bool(error_code))
        self._said.move_to_end(event.artifact_id)
        while len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        ack = _ack(event, error_code)
        seconds = asyncio.get_running_loop().time() - owed.received
        if not error_code:
            metrics.SERVED_SECONDS.observe(seconds)
        self._note(owed, ack, detail, seconds)
        self._spawn(ack)

    def _spawn(self, ack: DeploymentAck) -> None:
        task = asyncio.create_task(self._deliver(ack), name="deployment-ack-send")
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)

    async def _deliver(self, ack: DeploymentAck) -> None:
        # Before it is sent: whatever happens to the connection meanwhile, it counts as in doubt.
        self._remember(ack)
        sent = await self._send(encode_deployment_ack(ack))
        metrics.SENT.labels(DEPLOYMENT_ACK, "success" if sent else "failed").inc()
        entry = self._sent.get(ack.artifact_id)
        if sent or entry is None or entry[0] is not ack:
            # Said, or void by now, or kept already because the connection was lost meanwhile.
            return
        self._sent.pop(ack.artifact_id, None)
        self._unsent[ack.artifact_id] = ack
        self._trim()

    def _remember(self, ack: DeploymentAck) -> None:
        now = asyncio.get_running_loop().time()
        self._sent[ack.artifact_id] = (ack, now)
        self._sent.move_to_end(ack.artifact_id)
        while self._sent:
            _, oldest = next(iter(self._sent.values()))
            if now - oldest <= IN_DOUBT and len(self._sent) <= _UNSENT:
                break
            self._sent.popitem(last=False)

    def _trim(self) -> None:
        while len(self._unsent) > _UNSENT:
            self._unsent.popitem(last=False)

    def _finished(self, artifact_id: str, task: asyncio.Task[None]) -> None:
        wait = self._waits.get(artifact_id)
        if wait is not None and wait[1] is task:
            del self._waits[artifact_id]
        if not task.cancelled() and task.exception() is not None:
            _log.error("an acknowledgement was lost", error=repr(task.exception()))

    def _note(self, owed: _Owed, ack: DeploymentAck, detail: str, seconds: float) -> None:
        entry = Entry(
            at=self._now(),
            what=f"{ack.resource_type}.{ack.action}",
            outcome=ack.status,
            subject=ack.artifact_id,
            detail=detail,
            correlation_id=owed.correlation_id,
            duration_ms=round(seconds * 1000, 1),
        )
        self._journal.add(entry)
        log = _log.warning if ack.error_code else _log.info
        log(
            "deployment acknowledged",
            artifact=ack.artifact_id,
            action=ack.action,
            status=ack.status,
            detail=detail,
            duration_ms=entry.duration_ms,
            correlation_id=owed.correlation_id,
        )

    def _now(self) -> datetime:
        return self._clock()


def _ack(event: DeploymentEvent, error_code: str) -> DeploymentAck:
    return DeploymentAck(
        deployment_id=event.deployment_id,
        artifact_id=event.artifact_id,
        resource_type=NAMES[event.kind].ack,
        action=ACTION_DEPLOY if event.deployed else ACTION_UNDEPLOY,
        status=STATUS_FAILED if error_code else STATUS_SUCCESS,
        performed_at=event.performed_at or ZERO_TIME,
        error_code=error_code,
    )


def _key(event: DeploymentEvent) -> _Key:
    performed = event.performed_at
    return event.artifact_id, event.deployment_id, performed.unix_ms if performed is not None else 0
