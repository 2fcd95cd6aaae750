"""What waits to be handled, in order per artifact. Pure: says what may run next, runs nothing.

* Events of one key run one after another in the order of their arrival; different keys are independent.
* Urgent events (revocations) have a lane of their own. What the same key has waiting for the same subject is void with
  them; if the key has something under way, they run once more in order, so that nothing under way can undo them; what
  arrives after them waits for them.
* A deployment takes the place of one that still waits for the same artifact; a deletion voids all that waits for it.
* When many deployments of different artifacts are ready they come as one piece of work, for one batch download.
* Bounded: what does not fit is refused, and the caller has to reconcile instead.
"""

from collections import OrderedDict, deque
from typing import Final

import msgspec

from gatewright.controlplane.events import Event, Route
from gatewright.wire.events import DeletionEvent, DeploymentEvent

DEFAULT_LIMIT: Final = 10_000
BATCH_FROM: Final = 4
"""Ready deployments from which on one batch download is cheaper than single ones."""


class Job(msgspec.Struct, eq=False):
    """A place in a queue. `event` may be replaced by a newer one as long as the job waits."""

    event: Event
    route: Route

    @property
    def deploys(self) -> bool:
        """Whether it needs a document that a batch can bring."""
        payload = self.event.payload
        return isinstance(payload, DeploymentEvent) and payload.deployed and bool(payload.deployment_id)


class _Lane:
    __slots__ = ("fences", "running", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Job] = deque()
        self.running = False
        self.fences = 0

    @property
    def ready(self) -> bool:
        return bool(self.waiting) and not self.running and not self.fences

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running and not self.fences


class Backlog:
    """All lanes of one connection's events."""

    def __init__(self, *, limit: int = DEFAULT_LIMIT, batch_size: int = 50, batch_from: int = BATCH_FROM) -> None:
        self._limit = limit
        self._batch_size = max(1, batch_size)
        self._batch_from = batch_from
        self._lanes: dict[str, _Lane] = {}
        self._deployments: OrderedDict[str, None] = OrderedDict()
        self._others: OrderedDict[str, None] = OrderedDict()
        self._urgent: deque[Job] = deque()
        self._waiting = 0
        self._turn = False

    def __len__(self) -> int:
        """Events that wait, urgent ones included."""
        return self._waiting + len(self._urgent)

    def put(self, event: Event, route: Route) -> bool:
        """Queue an event. False: there is no room; nothing was changed."""
        if len(self) >= (2 * self._limit if route.urgent else self._limit):
            return False
        lane = self._lanes.setdefault(route.key, _Lane())
        if route.urgent:
            self._overtake(lane, Job(event, route))
        elif isinstance(event.payload, DeletionEvent):
            self._waiting -= len(lane.waiting)
            lane.waiting.clear()
            self._append(lane, Job(event, route))
        elif not _replaced(lane, event):
            self._append(lane, Job(event, route))
        self._refresh(route.key, lane)
        return True

    def take_urgent(self) -> Job | None:
        """The next revocation."""
        return self._urgent.popleft() if self._urgent else None

    def take(self) -> tuple[Job, ...]:
        """The next piece of work: one event, or several deployments for one batch; empty when nothing is ready."""
        self._turn = not self._turn
        first, second = (
            (self._others, self._deployments)
            if self._turn or not self._deployments
            else (self._deployments, self._others)
        )
        ready = first or second
        if not ready:
            return ()
        many = ready is self._deployments and len(ready) >= self._batch_from
        count = min(self._batch_size, len(ready)) if many else 1
        return tuple(self._begin(ready.popitem(last=False)[0]) for _ in range(count))

    def done(self, job: Job) -> None:
        """The job has run, with whatever outcome."""
        lane = self._lanes[job.route.key]
        if job.route.urgent:
            lane.fences -= 1
        else:
            lane.running = False
        self._refresh(job.route.key, lane)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _begin(self, key: str) -> Job:
        lane = self._lanes[key]
        lane.running = True
        self._waiting -= 1
        return lane.waiting.popleft()

    def _append(self, lane: _Lane, job: Job) -> None:
        lane.waiting.append(job)
        self._waiting += 1

    def _overtake(self, lane: _Lane, job: Job) -> None:
        kept = [waiting for waiting in lane.waiting if waiting.route.subject != job.route.subject]
        self._waiting -= len(lane.waiting) - len(kept)
        lane.waiting = deque(kept)
        again = Job(job.event, msgspec.structs.replace(job.route, urgent=False))
        if job.route.repeats and kept:
            self._append(lane, again)
        elif lane.running:
            lane.waiting.appendleft(again)
            self._waiting += 1
        lane.fences += 1
        self._urgent.append(job)

    def _refresh(self, key: str, lane: _Lane) -> None:
        """Put the key where `take` finds it, or away."""
        if lane.ready:
            wanted, other = self._deployments, self._others
            if not lane.waiting[0].deploys:
                wanted, other = other, wanted
            other.pop(key, None)
            wanted.setdefault(key)
            return
        self._deployments.pop(key, None)
        self._others.pop(key, None)
        if lane.idle:
            self._lanes.pop(key, None)


def _replaced(lane: _Lane, event: Event) -> bool:
    """Whether a waiting deployment has taken the event's place, or the event the place of a waiting deployment."""
    payload = event.payload
    if not isinstance(payload, DeploymentEvent) or not payload.deployed:
        return False
    for job in reversed(lane.waiting):
        waiting = job.event.payload
        if isinstance(waiting, DeploymentEvent | DeletionEvent):
            if not isinstance(waiting, DeploymentEvent) or not waiting.deployed:
                return False
            if not _older(payload, waiting):
                job.event = event
            return True
    return False


def _older(one: DeploymentEvent, other: DeploymentEvent) -> bool:
    return one.performed_at is not None and other.performed_at is not None and one.performed_at < other.performed_at
