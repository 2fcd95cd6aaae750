"""The timer of the shell under the event loop that processes really run on."""

from types import SimpleNamespace
from typing import Any

import uvloop

from gatewright.controlplane.connection import Connection
from gatewright.controlplane.link import State


class DueAtOnce:
    """A machine that always wants to be called now."""

    state = State.RECONNECTING
    deadline = 0.0

    def __init__(self) -> None:
        self.handled = 0

    def handle(self, _item: object, _now: float) -> tuple[()]:
        self.handled += 1
        return ()


def test_a_deadline_that_has_passed_is_armed_again_and_again() -> None:
    machine: Any = DueAtOnce()
    unused: Any = SimpleNamespace()
    observer: Any = SimpleNamespace(on_state=lambda _state: None)

    async def run() -> None:
        connection = Connection(
            "host", machine, rest=unused, trust=unused, credentials=unused, observer=observer, remember=unused
        )
        connection.start()
        connection.retry_now()
        await connection.stop()

    uvloop.run(run())
    assert machine.handled >= 3  # start, retry and stop, and a tick where the loop came to it
