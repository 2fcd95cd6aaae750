"""Waiting until the data plane serves what was written, and saying why it does not."""

import time
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from gatewright.cli.client import Answer, GatewayClient
from gatewright.cli.exits import Exit, Failure

CHANGE_HEADER: Final = "x-gatewright-change"
_ONE_WAIT_S: Final = 20.0
_ROUTER_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the data plane makes of a change. `unknown`: the server is not Gatewright and does not tell."""

    state: Literal["served", "refused", "stored", "timeout", "unknown"]
    routers: int = 0
    reason: str = ""

    @property
    def is_idle(self) -> bool:
        """Stored, and there is nothing for the routers to do; `reason` says why."""
        return self.state == "stored" and bool(self.reason)

    def failure(self, what: str) -> Failure | None:
        """Why `what` does not serve; None when it does, or when nobody can know."""
        if self.state in {"served", "unknown"} or self.is_idle:
            return None
        if self.state == "refused":
            return Failure(
                f"{what} is stored but does not serve: {self.reason or 'the data plane refused it'}",
                remedy="correct it and apply it again; until then its last good version stays",
            )
        if self.state == "stored":
            return Failure(
                f"{what} is stored, but no router is connected that could serve it",
                code=Exit.TIMED_OUT,
                remedy="start one with 'gatewright router', or give --no-wait if this is as it should be",
            )
        return Failure(
            f"{what} is stored; the routers have not answered in time ({self.reason or 'no answer'})",
            code=Exit.TIMED_OUT,
            remedy="look at 'gatewright status', or give a longer --timeout",
        )


def wait(client: GatewayClient, written: Answer, timeout_s: float) -> Outcome:
    """Wait until the change that `written` answers is served or refused, or `timeout_s` is over.

    Also waits for a router to connect: a gateway that has just been started has none yet.
    """
    change = written.headers.get(CHANGE_HEADER)
    if change is None:
        return Outcome("unknown")
    deadline = time.monotonic() + timeout_s
    while True:
        left = max(0.0, deadline - time.monotonic())
        path = f"/serving/{quote(change, safe='')}?timeout={min(left, _ONE_WAIT_S):.3f}"
        outcome = _outcome(client.management("GET", path))
        if outcome.is_idle or outcome.state not in {"stored", "timeout"} or time.monotonic() >= deadline:
            return outcome
        if outcome.state == "stored":
            time.sleep(min(_ROUTER_PAUSE_S, left))


def _outcome(answer: Answer) -> Outcome:
    if not answer.ok or not isinstance(answer.body, dict):
        return Outcome("unknown")
    state = answer.body.get("state")
    if state not in {"served", "refused", "stored", "timeout"}:
        return Outcome("unknown")
    return Outcome(state, int(answer.body.get("routers") or 0), str(answer.body.get("reason") or ""))
