"""The control plane's part, played out of a recording; what the gateway says is compared with what it said then."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlplane_hostile import TEXT, Hostile, Peer, Request
from recorded_conversation import HASH, TIME, UUID, made, shown, without_what_grows
from recorded_credentials import presented

PATIENCE = 60.0
"""Seconds until a message of the gateway is missing."""

_MADE = re.compile(f"{UUID.pattern}|{TIME.pattern}|{HASH.pattern}")
_OF_POLICY = re.compile(r".{14}5")
"""An id that is made of a name: the same everywhere."""


class Differs(Exception):
    """The gateway said something else."""


class Replay(Hostile):
    """Plays one step after the other; `play` raises Differs."""

    def __init__(self, directory: Path, steps: list[dict[str, Any]]) -> None:
        super().__init__(directory)
        self._issued = _issued(steps)
        self._bound: dict[str, str] = {}
        self._awaited: list[dict[str, Any]] = []
        self._later: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._peer: Peer | None = None
        self._connected = asyncio.Event()
        self._wrong: list[str] = []
        self.on_peer = self._accept

    async def play(self, step: dict[str, Any]) -> None:
        """Say what was said then, and wait for everything that the gateway answered then."""
        turns = list(_turns(step["conversation"]))
        self._later = [entry for _, heard in turns for entry in heard]
        for said, heard in turns:
            # What came early already is not awaited any more.
            due = [entry for entry in heard if any(entry is later for later in self._later)]
            self._later = [entry for entry in self._later if not any(entry is each for each in due)]
            self._awaited += due
            if said is not None:
                await self._say(said)
            await self._all_heard(step["step"])

    def drop(self) -> None:
        """Cut the connection."""
        assert self._peer is not None
        self._connected.clear()
        self._peer.abort()

    def forget(self) -> None:
        """The gateway has ended; the next connection is another one's."""
        self._connected.clear()

    def complain(self) -> None:
        """Raise Differs if the gateway has said anything that it did not say then."""
        if self._wrong:
            raise Differs("\n".join(self._wrong))

    # -- the two sides -------------------------------------------------------------------------------------------------

    async def _say(self, event: dict[str, Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._connected.wait()
        assert self._peer is not None
        self._peer.frame(TEXT, json.dumps(self._with_bound(event)))

    async def _all_heard(self, step: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while self._awaited and not self._wrong:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            missing = "\n".join(json.dumps(entry)[:2000] for entry in self._awaited)
            raise Differs(f"in the step {step!r} the gateway did not say:\n{missing}") from None
        self.complain()

    async def _accept(self, peer: Peer) -> None:
        self._hear({"connect": peer.request.path, **presented(peer.request.headers)})
        self._peer = peer
        self._connected.set()
        for work in (self._listen(peer), peer.stay()):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _listen(self, peer: Peer) -> None:
        while True:
            opcode, data = await peer.frames.get()
            if opcode == TEXT:
                self._hear({"frame": json.loads(data)})

    def find(self, request: Request) -> Any:
        body = shown(request.body, request.headers.get("content-type", ""))
        body = without_what_grows(request.path, body)
        call: dict[str, Any] = {"call": f"{request.method} {request.path}", **presented(request.headers)}
        if request.headers.get("accept", "*/*") != "*/*":
            call["accept"] = request.headers["accept"]
        if body:
            call["body"] = body
        entry = self._hear(call)
        if entry is None:
            return 500, b"this was not recorded"
        answer = self._with_bound(entry["answer"])
        content, kind = made({name: value for name, value in answer.items() if name != "status"})
        return answer["status"], content, {"content-type": kind} if content else {}

    # -- comparing -----------------------------------------------------------------------------------------------------

    def _hear(self, said: dict[str, Any]) -> dict[str, Any] | None:
        """The recorded message that this one is; None when there is none."""
        self._news.set()
        for entry in [*self._awaited, *self._later]:
            bound = dict(self._bound)
            if self._same({name: value for name, value in entry.items() if name != "answer"}, said, bound):
                self._bound = bound
                for waiting in (self._awaited, self._later):
                    waiting[:] = [each for each in waiting if each is not entry]
                return entry
        expected = "\n  ".join(json.dumps(entry)[:2000] for entry in self._awaited) or "nothing"
        self._wrong.append(f"the gateway said\n  {json.dumps(said)[:2000]}\nrecorded is\n  {expected}")
        return None

    def _same(self, recorded: Any, said: Any, bound: dict[str, str]) -> bool:
        if isinstance(recorded, dict) and isinstance(said, dict):
            return recorded.keys() == said.keys() and all(
                self._same(recorded[name], said[name], bound) for name in recorded
            )
        if isinstance(recorded, list) and isinstance(said, list):
            return len(recorded) == len(said) and all(
                self._same(one, other, bound) for one, other in zip(recorded, said, strict=True)
            )
        if isinstance(recorded, str) and isinstance(said, str):
            return self._same_text(recorded, said, bound)
        return bool(recorded == said)

    def _same_text(self, recorded: str, said: str, bound: dict[str, str]) -> bool:
        """Equal, or different only in ids and times that the gateway makes; each stands for one other."""
        if _MADE.split(recorded) != _MADE.split(said):
            return False
        for one, other in zip(_MADE.findall(recorded), _MADE.findall(said), strict=True):
            if one in self._issued or (UUID.fullmatch(one) and _OF_POLICY.match(one)):
                if one != other:
                    return False
            elif not TIME.fullmatch(one) and bound.setdefault(one, other) != other:
                return False
        return True

    def _with_bound(self, value: Any) -> Any:
        """What the control plane says, with the ids that the gateway has made this time."""
        if isinstance(value, dict):
            return {self._with_bound(key): self._with_bound(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._with_bound(each) for each in value]
        if isinstance(value, str):
            return _MADE.sub(lambda match: self._bound.get(match[0], match[0]), value)
        return value


def _turns(conversation: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
    """Each event of the control plane with what the gateway said until the next one."""
    said: dict[str, Any] | None = None
    heard: list[dict[str, Any]] = []
    for entry in conversation:
        if "event" in entry:
            yield said, heard
            said, heard = entry["event"], []
        else:
            heard.append(entry)
    yield said, heard


def _issued(steps: list[dict[str, Any]]) -> set[str]:
    """Ids and times that the control plane said before the gateway did: the gateway must repeat them as they are."""
    theirs: set[str] = set()
    ours: set[str] = set()
    for step in steps:
        for entry in step["conversation"]:
            sent = {name: value for name, value in entry.items() if name not in {"event", "answer"}}
            ours |= set(_MADE.findall(json.dumps(sent))) - theirs
            theirs |= set(_MADE.findall(json.dumps([entry.get("event"), entry.get("answer")]))) - ours
    return theirs
