"""A stand-in API Manager beside a test that is not asynchronous: in a thread with an event loop of its own.

    with StandIn(tmp_path / "apim") as apim:
        over, environ = apim.gateway("edge")            # configuration and variables of a gateway that belongs there
        ... start a gateway process ...
        apis = apim.ask(lambda client: client.apis())   # what a Publisher user sees
        imports = apim.requests("/apis/import")
        with apim.held("/apis/import") as hold:         # the answer is withheld once it has been made
            ...
            hold.wait()

`stop` and `start` again are an outage: state, port and certificates stay.
"""

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright.hub.apim.client import ApiManagerClient
from gatewright.hub.apim.config import ApiManagerConfig
from gatewright.hub.apim.recorder import OBSERVER, Recorded, Recorder
from gatewright.hub.apim.server import ApiManager
from gatewright.hub.config import system_clock
from support.loop_thread import LoopThread

T = TypeVar("T")

HOST = "127.0.0.1"
PATIENCE = 60.0


class Hold:
    """Requests are stopped: before anything is done, or (`answered`) when only the answer is missing.

    `path`: a regular expression that matches at the end of theirs.
    """

    def __init__(self, path: str, method: str, *, answered: bool) -> None:
        self.path = path
        self.method = method
        self.answered = answered
        self._hit = threading.Event()
        self.released = threading.Event()

    def wait(self) -> None:
        """Until a request is held."""
        assert self._hit.wait(PATIENCE), f"nobody asked for {self.method} {self.path}"

    def matches(self, scope: Scope) -> bool:
        observes = any(name.lower() == OBSERVER.encode() for name, _ in scope["headers"])
        return (
            scope["type"] == "http"
            and not observes
            and self.method in {"", scope["method"]}
            and (re.search(f"{self.path}$", scope["path"]) is not None)
        )

    async def hold(self) -> None:
        self._hit.set()
        await asyncio.to_thread(self.released.wait, PATIENCE)


class Gated(Recorder):
    """Records, holds requests as told, and counts how many imports are under way."""

    holds: list[Hold]
    at_once: int
    most_at_once: int

    def around(self, application: ASGIApp, ignored: str) -> ASGIApp:
        self.holds, self.at_once, self.most_at_once = [], 0, 0
        recorded = super().around(application, ignored)

        async def gated(scope: Scope, receive: Receive, send: Send) -> None:
            hold = next((hold for hold in self.holds if hold.matches(scope)), None) if scope["type"] == "http" else None
            if hold is not None and not hold.answered:
                await hold.hold()
            importing = scope["path"].endswith("/apis/import")
            self.at_once += importing
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await recorded(scope, receive, self._answering(hold, send))
            finally:
                self.at_once -= importing

        return gated

    @staticmethod
    def _answering(hold: Hold | None, send: Send) -> Send:
        async def answering(message: Message) -> None:
            if hold is not None and hold.answered and message["type"] == "http.response.start":
                await hold.hold()
            await send(message)

        return answering


class StandIn:
    """One stand-in; `start` and `stop` as often as wanted."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.data_dir = data_dir
        self.port = 0
        self._settings = settings
        self._loop: LoopThread | None = None
        self._manager: ApiManager | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.manager.ca_file

    @property
    def manager(self) -> ApiManager:
        assert self._manager is not None, "it does not run"
        return self._manager

    @property
    def recorder(self) -> Gated:
        assert isinstance(self.manager.recorder, Gated)
        return self.manager.recorder

    def start(self) -> None:
        """Start; the same port as before."""
        self._loop = LoopThread()
        config = ApiManagerConfig(**{"data_dir": self.data_dir, "port": self.port, **self._settings})
        manager = ApiManager(config)
        manager.recorder = Gated(
            requests=config.requests_kept, upload_bytes=config.uploads_kept_bytes, clock=system_clock
        )
        self._manager = manager
        self._run(manager.start())
        self.port = manager.port

    def stop(self) -> None:
        """Stop it if it runs."""
        if self._manager is None or self._loop is None:
            return
        for hold in self.recorder.holds:
            hold.released.set()
        manager, self._manager = self._manager, None
        self._run(manager.stop())
        self._loop.close()

    def ask(self, work: Callable[[ApiManagerClient], Awaitable[T]]) -> T:
        """Something that people do there."""

        async def asked() -> T:
            async with ApiManagerClient.from_data_dir(self.data_dir, f"https://{self.host}") as client:
                return await work(client)

        return self._run(asked())

    def requests(self, path: str = "", method: str = "") -> list[Recorded]:
        """Recorded requests whose path holds `path`, oldest first; never those of `ask`."""

        async def entries() -> list[Recorded]:
            return self.manager.recorder.entries(path=path, method=method)

        return self._run(entries())

    def turn(self, **switches: str) -> None:
        """Turn switches."""
        self.manager.switches.turn(switches)

    def gateway(self, name: str, **controlplane: Any) -> dict[str, Any]:
        """Register a gateway and an OAuth client; the configuration of a gateway that belongs here."""
        registered = self.ask(lambda client: client.register_gateway(name))
        oauth = self.ask(lambda client: client.register_client("gateway-controller"))
        link = {
            "host": self.host,
            "token": registered["registrationToken"],
            "gateway_name": name,
            "apim_oauth2_client_id": oauth["clientId"],
            "apim_oauth2_client_secret": oauth["clientSecret"],
            "reconnect_initial": "100ms",
            "reconnect_max": "1s",
            **controlplane,
        }
        return {
            "controller": {"controlplane": link},
            "gatewright": {"controlplane": {"ca_file": str(self.ca_file)}},
        }

    def deployed(self, api_id: str) -> list[str]:
        """The revisions of an API that are deployed anywhere."""
        return [str(row["id"]) for row in self.ask(lambda client: client.revisions(api_id, "deployed:true"))]

    @contextmanager
    def held(self, path: str, method: str = "", *, answered: bool = False) -> Iterator[Hold]:
        """Hold requests whose path ends like this until the block ends."""
        hold = Hold(path, method, answered=answered)
        self.recorder.holds.append(hold)
        try:
            yield hold
        finally:
            self.recorder.holds.remove(hold)
            hold.released.set()

    def until(self, holds: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
        """Wait for something that shows in answers only; returns the first true value."""
        deadline = time.monotonic() + timeout
        while not (value := holds()):
            assert time.monotonic() < deadline, f"waited {timeout:g} s in vain: {what}"
            time.sleep(0.02)
        return value

    def _run(self, work: Any) -> Any:
        assert self._loop is not None
        return self._loop.do(work, PATIENCE)
