"""One trace per change, from what asks for it to the first acknowledgement by Envoy.

An event or a request asks for one change. A reconcile asks for many: it has a trace of its own, with its steps and
counts, and each change that it makes has one that is linked with it. A change that another controller made is traced
from where this one reads of it.

Everything on the way of a change knows its correlation id, so that is how the parts of a trace find each other: the
trace id is computed from it (`trace_id`), and nothing has to be handed along. Without a recorder, which is the normal
case, all calls return at once; with one (`otlp.py`) they only put values into a bounded queue.
"""

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol, TypeAlias

import msgspec
import structlog

Value: TypeAlias = str | int | float | bool

_NOTHING: Final = nullcontext()
_RUN: ContextVar[str] = ContextVar("run", default="")


class Step(msgspec.Struct, frozen=True):
    """A part of a change's way. Times in ns since 1970; `error` is empty when it went well."""

    name: str
    started: int
    ended: int
    attributes: dict[str, Value]
    error: str = ""


class Recorder(Protocol):
    """Takes what the functions of this module are told. Must not block and must not raise."""

    def begin(self, correlation_id: str, name: str, started: int, attributes: dict[str, Value]) -> None:
        """A change was asked for at `started`."""

    def begin_run(self, run_id: str, name: str, started: int, attributes: dict[str, Value]) -> None:
        """Something began that makes many changes; it lasts until `finish`."""

    def consider(self, correlation_id: str, name: str, started: int, attributes: dict[str, Value], run_id: str) -> bool:
        """A change that may turn out to be none, as part of a run; False when it is not to be told of."""

    def join(self, correlation_id: str, name: str, started: int, attributes: dict[str, Value]) -> None:
        """Somebody else has stored a change; nothing happens when it is known here."""

    def record(self, correlation_id: str, step: Step) -> None:
        """A step of a change has been taken."""

    def stored(self, correlation_id: str) -> None:
        """The change is in the database: its trace goes on until the routers have it."""

    def settle(self, correlation_id: str, outcome: str, *, failed: bool) -> None:
        """Whoever asked has an answer: the trace ends here unless something was stored."""

    def finish(self, correlation_id: str, outcome: str, *, failed: bool, attributes: dict[str, Value]) -> None:
        """The change, or the run, has come to its end."""


class _Current:
    recorder: Recorder | None = None


def install(recorder: Recorder | None) -> None:
    """Tell `recorder` from now on; None: nobody."""
    _Current.recorder = recorder


def enabled() -> bool:
    """Whether anybody is told."""
    return _Current.recorder is not None


def trace_id(correlation_id: str) -> str:
    """The trace of a change, 32 hexadecimal digits: the correlation id itself if it is a UUID, else a hash of it."""
    try:
        number = uuid.UUID(correlation_id).int
    except ValueError:
        number = 0
    if number == 0:
        number = int.from_bytes(hashlib.sha256(correlation_id.encode("utf-8", "replace")).digest()[:16], "big")
    return f"{number:032x}"


def begin(correlation_id: str, name: str, started: int = 0, **attributes: Value) -> None:
    """A change was asked for by an event or a request, at `started` or just now."""
    if _Current.recorder is not None:
        _Current.recorder.begin(correlation_id, name, started or now(), attributes)


@contextmanager
def run(run_id: str, name: str, **attributes: Value) -> Iterator[None]:
    """The block, with the tasks that it starts, makes many changes. `finish` says how it ended."""
    recorder = _Current.recorder
    if recorder is None:
        yield
        return
    recorder.begin_run(run_id, name, now(), attributes)
    token = _RUN.set(run_id)
    try:
        yield
    finally:
        _RUN.reset(token)
        recorder.finish(run_id, "unfinished", failed=True, attributes={})


def consider(correlation_id: str, name: str, **attributes: Value) -> bool:
    """The present run looks at a change. Its trace is kept only if something is stored, or if it fails.

    False: nothing is kept, and the caller must not settle it; an event of the same change may be under way.
    """
    recorder = _Current.recorder
    return recorder is not None and recorder.consider(correlation_id, name, now(), attributes, _RUN.get())


def join(correlation_id: str, name: str, **attributes: Value) -> None:
    """A change is in the database that somebody else may have put there: follow it to the routers here."""
    if _Current.recorder is not None and correlation_id:
        _Current.recorder.join(correlation_id, name, now(), attributes)


def span(name: str, **attributes: Value) -> AbstractContextManager[None]:
    """The block is a step of the change whose correlation id this task has (`logging.correlation`)."""
    return _NOTHING if _Current.recorder is None else _span(name, attributes)


def record(correlation_id: str, name: str, started: int, *, error: str = "", **attributes: Value) -> None:
    """A step that began at `started` (`now()`) has just ended."""
    if _Current.recorder is not None:
        _Current.recorder.record(correlation_id, Step(name, started, now(), attributes, error))


def interval(correlation_id: str, name: str, started: int, ended: int, *, error: str = "", **attributes: Value) -> None:
    """A step between two points in time."""
    if _Current.recorder is not None:
        _Current.recorder.record(correlation_id, Step(name, started, ended, attributes, error))


def stored(correlation_id: str) -> None:
    """The change is in the database."""
    if _Current.recorder is not None:
        _Current.recorder.stored(correlation_id)


def settle(correlation_id: str, outcome: str, *, failed: bool = False) -> None:
    """Whoever asked has an answer."""
    if _Current.recorder is not None:
        _Current.recorder.settle(correlation_id, outcome, failed=failed)


def finish(correlation_id: str, outcome: str, *, failed: bool = False, **attributes: Value) -> None:
    """The change, or the run, has come to its end."""
    if _Current.recorder is not None:
        _Current.recorder.finish(correlation_id, outcome, failed=failed, attributes=attributes)


def now() -> int:
    """Nanoseconds since 1970."""
    return time.time_ns()


@contextmanager
def _span(name: str, attributes: dict[str, Value]) -> Iterator[None]:
    recorder = _Current.recorder
    correlation_id = str(structlog.contextvars.get_contextvars().get("correlation_id", ""))
    started, error = now(), ""
    try:
        yield
    except BaseException as problem:
        # Only its kind: the words of an error may quote a document.
        error = type(problem).__name__
        raise
    finally:
        if recorder is not None:
            recorder.record(correlation_id, Step(name, started, now(), attributes, error))
