"""Runs the commands of a documentation page as a reader would: in order, in one folder, checking what is printed.

What a fenced block means is its language and the word behind it, which readers do not see:

    ```sh                  run it; it must end with exit status 0
    ```sh fails            run it; it must end with another exit status
    ```sh background       start it in a terminal of its own; goes on until the page ends
    ```sh elsewhere        needs what is not here (a package manager): not run
    ```sh docker           needs a Docker engine: run by the tests that have one (`engine`)
    ```sh cluster          needs a Kubernetes cluster: run by the tests that have one (`cluster`)
    ```toml gateway.toml   a file of that name
    ```text                what the block before prints, among other lines; `…` stands for anything

A `…` in a command is a value that the reader copies from what was printed before; the test says which (`fills`). Ports
are moved to free ones, in commands and through the environment.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

PATIENCE_S = 60.0
_FENCE = re.compile(r"^```(\w+)(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_KEPT = ("HOME", "LANG", "LC_ALL", "TMPDIR", "USER")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` counts from 1; `expected` are the lines of the `text` block behind it."""

    language: str
    word: str
    content: str
    line: int
    expected: Sequence[str] = ()


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, in order, with what they are expected to print."""
    found = [
        Block(match[1], match[2] or "", match[3], page.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(page)
    ]
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.language == "text":
            continue
        shown = following is not None and following.language == "text" and block.language == "sh"
        expected = [line for line in following.content.splitlines() if line.strip()] if shown and following else []
        yield Block(block.language, block.word, block.content, block.line, expected)


@dataclass
class Reader:
    """Somebody with a terminal in `folder`.

    `ports`: port of the page → port to use; `replaced`: the same for other words. `engine`: there is a Docker engine;
    `cluster`: there is one of Kubernetes. `within`: a command that runs the terminal somewhere else.
    """

    folder: Path
    ports: Mapping[int, int]
    environ: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    engine: bool = False
    cluster: bool = False
    within: Sequence[str] = ()
    patience_s: float = 3 * PATIENCE_S
    printed: str = ""

    def __post_init__(self) -> None:
        self._running: list[_Background] = []
        self._fills: list[str] = []
        (self.folder / ".folder").write_text(str(self.folder))
        (self.folder / ".environment").write_text("")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._running):
            program.stop()

    def follow(self, page: str, fills: Sequence[str] = ()) -> None:
        """Do what the page says. Raises AssertionError with the line of the page.

        `fills`: patterns; the last thing printed that the first group of the next one matches is what `…` stands for.
        """
        self._fills = list(fills)
        for block in blocks(page):
            if block.language != "sh":
                if block.word:
                    file = Path((self.folder / ".folder").read_text().strip()) / block.word  # where the terminal stands
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(self._adapted(block.content))
            elif {"elsewhere": False, "docker": self.engine, "cluster": self.cluster}.get(block.word, True):
                self._type(block)

    def _type(self, block: Block) -> None:
        script = self._adapted(self._filled(block.content))
        expected = [self._adapted(line) for line in block.expected]
        if block.word == "background":
            program = _Background(self._command(script), self.folder, self._environment())
            self._running.append(program)
            self.printed += program.wait_for(expected, f"line {block.line}")
            return
        done = subprocess.run(
            self._command(script + "\n"),
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=self.patience_s,
        )
        self.printed += done.stdout
        fails = block.word == "fails"
        assert (done.returncode != 0) == fails, (
            f"line {block.line}: exit {done.returncode}\n{script}\n{self._told(done.stdout)}"
        )
        missing = _missing(expected, done.stdout)
        assert not missing, f"line {block.line}: does not print {missing}\n{script}\n{self._told(done.stdout)}"

    def _told(self, output: str) -> str:
        logs = "\n".join(program.output[-4000:] for program in self._running)
        return f"--- printed\n{output}\n--- in other terminals\n{logs}"

    def _command(self, script: str) -> list[str]:
        """The terminal remembers what was exported and where it stands."""
        before = f'set -e; cd "$(cat {self.folder}/.folder)"; . {self.folder}/.environment; set -o pipefail\n'
        after = f"\nexport -p > {self.folder}/.environment; pwd > {self.folder}/.folder\n"
        return [*self.within, "/bin/bash", "-c", before + script + after]

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**kept, "PATH": programs, "COLUMNS": "100", "PYTHONUNBUFFERED": "1", **self.environ}

    def _filled(self, script: str) -> str:
        while "…" in script:
            assert self._fills, f"nothing says what … stands for in\n{script}"
            pattern = self._fills.pop(0)
            found = re.findall(pattern, self.printed)
            assert found, f"{pattern} was not printed:\n{self.printed[-4000:]}"
            script = script.replace("…", found[-1], 1)
        return script

    def _adapted(self, text: str) -> str:
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        for port, other in self.ports.items():
            text = re.sub(rf"(?<=[:= ]){port}\b", str(other), text)
        return text


class _Background:
    """A program in a terminal of its own."""

    def __init__(self, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.output = ""
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, expected: Sequence[str], where: str) -> str:
        """Until it has printed these lines; what it has printed by then."""
        deadline = time.monotonic() + PATIENCE_S
        with self._more:
            while _missing(expected, self.output):
                assert self._process.poll() is None or self._reader.is_alive(), f"{where}: ended\n{self.output}"
                left = deadline - time.monotonic()
                assert left > 0, f"{where}: did not print {_missing(expected, self.output)}\n{self.output}"
                self._more.wait(min(left, 0.5))
            return self.output

    def stop(self) -> None:
        """Ctrl-C, and harder means when that is not enough."""
        for how in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, how)
                try:
                    self._process.wait(PATIENCE_S / 2)
                except subprocess.TimeoutExpired:
                    continue
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self.output += line
                self._more.notify_all()


def _missing(expected: Sequence[str], printed: str) -> list[str]:
    return [line for line in expected if not re.search(_pattern(line), printed)]


def _pattern(line: str) -> str:
    """Any white space is as good as any other: the width of tables depends on what is in them."""
    parts = (r"\s+".join(re.escape(word) for word in part.split()) for part in line.strip().split("…"))
    return r".*?".join(parts)
