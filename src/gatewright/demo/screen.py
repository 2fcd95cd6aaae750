"""How the demo prints: one line for each step with its duration, below it the command lines that repeat it."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

WIDTH: Final = 80
_TAIL: Final = 18
_GREEN, _RED, _DIM = "32", "31", "2"


class Step:
    """A step that is under way; `result` and `lines` are printed when it ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.result = ""
        self.lines: list[str] = []


class Screen:
    """Writes to a terminal (with colours, unless NO_COLOR is set) or to a file."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
        self._coloured = self._is_terminal and not os.environ.get("NO_COLOR")
        unicode = (self._stream.encoding or "").lower().replace("-", "").startswith("utf")
        self._done, self._failed = ("✓", "✗") if unicode else ("ok", "FAILED")
        self.steps = 0

    def line(self, text: str = "") -> None:
        """One line, seen at once."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """A step; it has failed when the block raises."""
        self.steps += 1
        step = Step(text)
        started = time.perf_counter()
        if self._is_terminal:
            self._stream.write(f"  {self.steps:>2}  {text} …")
            self._stream.flush()
        try:
            yield step
        except BaseException:
            self._end(step, time.perf_counter() - started, held=False)
            raise
        self._end(step, time.perf_counter() - started, held=True)

    def _end(self, step: Step, seconds: float, *, held: bool) -> None:
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
        mark = self._done if held else self._failed
        head = f" {self.steps:>2}  {step.text}"
        tail = f"  {step.result:>8} {_took(seconds):>7}"
        painted = self._painted(mark, _GREEN if held else _RED)
        self.line(f"{painted}{head:<{WIDTH - _TAIL - len(mark)}}{tail}")
        for text in step.lines:
            self.line(self._painted(f"        {text}", _DIM))

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
