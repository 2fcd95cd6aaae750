"""What Envoy writes: its log becomes lines of ours, its access log passes in bulk. Both with the prefix `[rtr]`.

Access lines can come by the ten thousand per second, so they are never taken apart: a thread of its own prefixes whole
blocks.
"""

import asyncio
import logging
import os
import re
import threading
from collections import deque
from typing import BinaryIO, Final

import msgspec

from gatewright.observability.logging import get_logger

PREFIX: Final = "[rtr]"
LOG_FORMAT: Final = "[%l][%n] %v"
"""For Envoy's --log-format: our own lines carry the time."""

LONGEST_LINE: Final = 16_384
REMEMBERED: Final = 30
BLOCK: Final = 1 << 16

_LINE = re.compile(r"^\[(\w+)\]\[(\w+)\] (.*)$", re.DOTALL)
_LEVELS: Final = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.ERROR,
}
_log = get_logger("gatewright.router.envoy")


class Problem(msgspec.Struct, frozen=True):
    """A reason why Envoy does not start or does not listen, with a stable code and what to do."""

    code: str
    message: str


_PROBLEMS: Final = (
    (
        re.compile(r"cannot bind '?([^'\s]+?)'?: Address already in use"),
        "PORT_IN_USE",
        "{0} is used by another process; stop it, or configure another port",
    ),
    (
        re.compile(r"cannot bind '?([^'\s]+?)'?: Permission denied"),
        "PORT_NOT_ALLOWED",
        "{0} may not be opened by this user; ports below 1024 need a privilege, configure another port",
    ),
    (
        re.compile(r"cannot bind '?([^'\s]+?)'?: Cannot assign requested address"),
        "ADDRESS_NOT_HERE",
        "{0} is not an address of this machine; check the bind address",
    ),
    (
        re.compile(r"(version `(?:GLIBC|GLIBCXX)_[\d.]+' not found)"),
        "ENVOY_BINARY_UNUSABLE",
        "the Envoy binary does not run on this system: {0}",
    ),
    (
        re.compile(r"(cannot execute .*)"),
        "ENVOY_BINARY_UNUSABLE",
        "{0}",
    ),
    (
        re.compile(r"(Unable to parse (?:JSON|YAML) as proto.*|Proto constraint validation failed.*)"),
        "BOOTSTRAP_REFUSED",
        "Envoy does not accept its start configuration: {0}",
    ),
)


def problem_in(text: str) -> Problem | None:
    """The known problem that a line of Envoy, or a refusal of it, tells of."""
    for pattern, code, message in _PROBLEMS:
        found = pattern.search(text)
        if found is not None:
            return Problem(code, message.format(found[1][:300]))
    return None


class LogLines:
    """Envoy's log of one run. Keeps the last lines, to tell why it ended."""

    def __init__(self) -> None:
        self.last: deque[str] = deque(maxlen=REMEMBERED)
        self.problem: Problem | None = None
        self._level = logging.INFO

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Log until the stream ends."""
        while line := await _line(stream):
            self.tell(line.decode("utf-8", "replace").rstrip())

    def tell(self, line: str) -> None:
        """Log one line."""
        if not line:
            return
        self.last.append(line)
        self.problem = self.problem or problem_in(line)
        found = _LINE.match(line)
        if found is None:
            # A continuation of a text of several lines, or the dynamic loader.
            _log.log(self._level, f"{PREFIX} {line}")
        else:
            self._level = _LEVELS.get(found[1], logging.INFO)
            _log.log(self._level, f"{PREFIX} {found[3]}", part=found[2])


def pass_through(source: int, sink: BinaryIO) -> threading.Thread:
    """Copy access lines from a pipe to `sink` with the prefix, until the pipe ends; closes the pipe.

    In a thread: a reader of our output that does not read must not stop the event loop.
    """
    thread = threading.Thread(target=_copy, args=(source, sink), name="envoy-stdout", daemon=True)
    thread.start()
    return thread


def _copy(source: int, sink: BinaryIO) -> None:
    prefix = f"{PREFIX} ".encode()
    rest = b""
    try:
        while block := os.read(source, BLOCK):
            lines, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                _write(sink, prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n")
            elif len(rest) > BLOCK:
                _write(sink, prefix + rest)
                rest = b""
        if rest:
            _write(sink, prefix + rest + b"\n")
    finally:
        os.close(source)


def _write(sink: BinaryIO, data: bytes) -> None:
    try:
        sink.write(data)
        sink.flush()
    except (OSError, ValueError):
        # Nobody reads our output any more; Envoy must go on all the same.
        return


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:
        # Longer than the reader's limit; what is left of it follows as a line of its own.
        return b"(a line of Envoy was too long)\n"
