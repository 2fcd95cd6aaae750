"""How the demo prints: one line for each step with its duration, below it the command lines that repeat it."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

WIDTH: Final = 80
_RESULT: Final = 12


class Step:
    """A step that is under way; `result` and `lines` are printed when it ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.result = ""
        self.lines: list[str] = []


class Screen:
    """Writes to a terminal or a file."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._is_terminal = self._stream.isatty()
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
            self._stream.write(f"\r  {self.steps:>2}  {text} …")
            self._stream.flush()
        try:
            yield step
        except BaseException:
            self._end(step, self._failed, time.perf_counter() - started)
            raise
        self._end(step, self._done, time.perf_counter() - started)

    def _end(self, step: Step, mark: str, seconds: float) -> None:
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
        head = f"{mark} {self.steps:>2}  {step.text}"
        tail = f"{step.result:>5}  {_took(seconds):>7}"
        self.line(f"{head:<{WIDTH - _RESULT - 2}}{tail:>{_RESULT + 2}}")
        for text in step.lines:
            self.line(f"        {text}")


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
