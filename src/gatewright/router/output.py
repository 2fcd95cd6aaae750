"""Envoy's own lines, turned into lines of our log: prefixed, levelled, complete."""

import asyncio
import logging
import re

from gatewright.observability.logging import get_logger

_LINE = re.compile(r"^\[[^\]]+\]\[\d+\]\[(\w+)\]\[(\w+)\](?: \[[^\]]*\])? ?(.*)$")
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
LONGEST_LINE = 16_384
REMEMBERED_LINES = 20
_log = get_logger("rtr")


class Output:
    """Reads the stream of one Envoy process and remembers what it said last, to tell why it ended."""

    def __init__(self) -> None:
        self.last: list[str] = []

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Log until the stream ends."""
        while line := await self._line(stream):
            self._tell(line.decode("utf-8", "replace").rstrip())

    async def _line(self, stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readline()
        except ValueError:  # the line is longer than the reader's limit; what is left of it follows
            return b"(a line of Envoy was too long)\n"

    def _tell(self, line: str) -> None:
        if not line:
            return
        self.last = [*self.last[1 - REMEMBERED_LINES :], line]
        found = _LINE.match(line)
        if found is None:
            _log.info(line)
        else:
            _log.log(_LEVELS.get(found[1], logging.INFO), found[3] or line, source=found[2])
