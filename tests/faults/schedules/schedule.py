"""What happens in one fault test: a pure function from a seed to a list of timed operations.

Times are seconds from the start. Operations of one lane (`hub`, `gateway`, `line`, `kill`) run in their order; lanes
run side by side. An operation only assumes what earlier ones of its lane have made, so that every schedule makes sense
whatever the faults do to it.
"""

import random
from typing import Any, Final

import msgspec

Lane = str

FLAVOURS: Final = ("open", "keyed", "subscribed", "open", "provider", "proxy")
"""Of the hub's artifacts by number: what a caller of an API needs, or another kind. The proxy needs the provider."""

PROVIDER, PROXY = 4, 5
OWN_FLAVOURS: Final = ("open", "keyed", "subscribed")
"""Of the gateway's own APIs."""

STATUSES: Final = (500, 502, 503, 429, 401, 404)
"""What the line answers by itself."""


class Operation(msgspec.Struct, frozen=True):
    """`subject` is a number of an API, a name of a key, or a kind of fault; `options` belong to it."""

    at: float
    lane: Lane
    what: str
    subject: str = ""
    options: dict[str, Any] = {}  # msgspec copies it

    def __str__(self) -> str:
        options = " ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.at:6.3f}  {self.lane:8}{self.what} {self.subject} {options}".rstrip()


class Schedule(msgspec.Struct, frozen=True):
    """All operations by time."""

    seed: int
    seconds: float
    operations: tuple[Operation, ...]

    def lane(self, name: Lane) -> tuple[Operation, ...]:
        return tuple(each for each in self.operations if each.lane == name)

    @property
    def kills(self) -> frozenset[str]:
        return frozenset(each.subject for each in self.operations if each.what == "kill")

    def __str__(self) -> str:
        return "\n".join((f"schedule of seed {self.seed}, {self.seconds:.1f} s", *map(str, self.operations)))


def make(seed: int, *, patient: bool = False) -> Schedule:
    """The schedule of a seed. `patient`: longer, and with connections that stay half open until somebody notices."""
    rng = random.Random(seed)
    seconds = rng.uniform(3.0, 9.0) if patient else rng.uniform(0.8, 1.8)
    count = rng.randrange(20, 45) if patient else rng.randrange(10, 22)
    hub, own = _HubLane(rng), _OwnLane(rng)
    operations: list[Operation] = []
    for at in sorted(rng.uniform(0.0, seconds) for _ in range(count)):
        lane: _HubLane | _OwnLane = hub if rng.random() < 0.7 else own
        what, subject, options = lane.next()
        operations.append(Operation(round(at, 3), lane.name, what, subject, options))
    operations += _faults(rng, seconds, rng.randrange(3, 8) if patient else rng.randrange(1, 5), patient=patient)
    operations += _kills(rng, seconds, patient=patient)
    return Schedule(seed, round(seconds, 3), tuple(sorted(operations, key=lambda each: each.at)))


def _faults(rng: random.Random, seconds: float, count: int, *, patient: bool) -> list[Operation]:
    """Intervals of faults; one kind never overlaps itself, different ones do."""
    made: list[Operation] = []
    for kind, choices in rng.sample(sorted(_FAULTS.items()), min(count, len(_FAULTS))):
        options = {name: rng.choice(values) for name, values in choices.items()}
        if options.get("status") == 429:
            options["retry_after"] = 1
        begin = rng.uniform(0.0, seconds * 0.8)
        end = begin + rng.uniform(0.1, 6.0 if patient else 0.9)
        made.append(Operation(round(begin, 3), "line", "on", kind, options))
        made.append(Operation(round(end, 3), "line", "off", kind))
    return made


_FAULTS: Final[dict[str, dict[str, tuple[Any, ...]]]] = {
    "delay": {"seconds": (0.05, 0.2, 0.6), "share": (0.3, 1.0)},
    "status": {"status": STATUSES, "share": (0.3, 0.7, 1.0)},
    "truncate": {"broken": (False, True), "share": (0.3, 0.7, 1.0)},
    "lost_answer": {"share": (0.2, 0.6)},
    "cut": {"share": (0.1, 0.4, 1.0)},
    "half_open": {"reset": (False, True)},
    "duplicate": {"share": (0.3, 1.0)},
    "reorder": {"share": (0.3, 1.0)},
    "no_pings": {"share": (1.0,)},
    "down": {"share": (0.5, 1.0)},
}


FAULT_KINDS: Final = tuple(_FAULTS)


def _kills(rng: random.Random, seconds: float, *, patient: bool) -> list[Operation]:
    """In about a third of the short schedules a process dies, the controller most often; in long ones several do."""
    kills = []
    for at in sorted(rng.uniform(0.1, seconds) for _ in range(3 if patient else 1)):
        victim = rng.choices(("", "controller", "envoy", "hub", "router"), (62, 17, 9, 9, 3))[0]
        if victim:
            kills.append(Operation(round(at, 3), "kill", "kill", victim))
    return kills


class _HubLane:
    """What people do at the control plane."""

    name: Final = "hub"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._version = dict.fromkeys(range(len(FLAVOURS)), 0)
        self._state = dict.fromkeys(range(len(FLAVOURS)), "absent")
        self._keys: list[tuple[int, str]] = []
        self._subscriptions: list[tuple[int, str, str]] = []
        self._plans: list[str] = []
        self._count = 0

    def next(self) -> tuple[str, str, dict[str, Any]]:
        """The next operation; always one that the control plane accepts."""
        rng = self._rng
        api = rng.randrange(len(FLAVOURS))
        if api == PROXY and self._state[PROVIDER] != "deployed":
            api = PROVIDER
        state, flavour = self._state[api], FLAVOURS[api]
        if state == "absent":
            return self._deploy(api)
        if state == "undeployed":
            return self._redeploy(api) if rng.random() < 0.6 else self._delete(api)
        match rng.choice(self._choices(api, flavour)):
            case "edit":
                return self._deploy(api)
            case "undeploy":
                self._state[api] = "undeployed"
                return "undeploy", str(api), {}
            case "delete":
                return self._delete(api)
            case "key":
                name = f"key-{self._next()}"
                self._keys.append((api, name))
                return "key", str(api), {"name": name}
            case "revoke":
                of, name = self._keys.pop(rng.randrange(len(self._keys)))
                return "revoke", str(of), {"name": name}
            case "subscribe":
                name = f"sub-{self._next()}"
                self._subscriptions.append((api, name, "ACTIVE"))
                plan = rng.choice(["", *self._plans])
                return "subscribe", str(api), {"name": name, "plan": plan}
            case "change":
                return self._change()
        plan = f"plan-{self._next()}"
        self._plans.append(plan)
        return "plan", plan, {}

    def _choices(self, api: int, flavour: str) -> list[str]:
        """What can be done with a deployed artifact, the likelier the more often."""
        choices = ["edit"] * 4 + ["plan"]
        # The control plane keeps a provider as long as it has a proxy on it.
        choices += ["delete", "undeploy"] if api != PROVIDER or self._state[PROXY] == "absent" else []
        if flavour == "keyed":
            choices += ["key"] * 4 + ["revoke"] * (3 * bool(self._keys))
        if flavour == "subscribed":
            choices += ["subscribe"] * 4 + ["change"] * (3 * bool(self._subscriptions))
        return choices

    def _deploy(self, api: int) -> tuple[str, str, dict[str, Any]]:
        self._version[api] += 1
        self._state[api] = "deployed"
        # Something that the control plane takes and the gateway cannot.
        broken = api < PROVIDER and self._version[api] > 1 and self._rng.random() < 0.12
        return "deploy", str(api), {"version": self._version[api], **({"broken": True} if broken else {})}

    def _redeploy(self, api: int) -> tuple[str, str, dict[str, Any]]:
        self._state[api] = "deployed"
        return "deploy_again", str(api), {}

    def _delete(self, api: int) -> tuple[str, str, dict[str, Any]]:
        self._state[api] = "absent"
        self._keys = [each for each in self._keys if each[0] != api]
        self._subscriptions = [each for each in self._subscriptions if each[0] != api]
        return "delete", str(api), {}

    def _change(self) -> tuple[str, str, dict[str, Any]]:
        place = self._rng.randrange(len(self._subscriptions))
        api, name, status = self._subscriptions[place]
        if self._rng.random() < 0.3:
            del self._subscriptions[place]
            return "unsubscribe", str(api), {"name": name}
        status = "INACTIVE" if status == "ACTIVE" else "ACTIVE"
        self._subscriptions[place] = (api, name, status)
        return "change", str(api), {"name": name, "status": status}

    def _next(self) -> int:
        self._count += 1
        return self._count


class _OwnLane:
    """What people do at the gateway."""

    name: Final = "gateway"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._version = dict.fromkeys(range(len(OWN_FLAVOURS)), 0)
        self._exists = dict.fromkeys(range(len(OWN_FLAVOURS)), False)
        self._credentials: dict[int, list[str]] = {1: [], 2: []}
        self._count = 0

    def next(self) -> tuple[str, str, dict[str, Any]]:
        """The next operation."""
        rng = self._rng
        api = rng.randrange(len(OWN_FLAVOURS))
        if not self._exists[api]:
            self._exists[api] = True
            return self._write("create", api)
        known = self._credentials.get(api)
        if known is not None and rng.random() < 0.5:
            give, take = {"keyed": ("key", "revoke"), "subscribed": ("subscribe", "unsubscribe")}[OWN_FLAVOURS[api]]
            if known and rng.random() < 0.4:
                return take, str(api), {"name": known.pop(rng.randrange(len(known)))}
            self._count += 1
            known.append(f"own-{self._count}")
            return give, str(api), {"name": known[-1]}
        if rng.random() < 0.3:
            self._exists[api] = False
            if known is not None:
                known.clear()
            return "delete", str(api), {}
        return self._write("edit", api)

    def _write(self, what: str, api: int) -> tuple[str, str, dict[str, Any]]:
        self._version[api] += 1
        return what, str(api), {"version": self._version[api]}
