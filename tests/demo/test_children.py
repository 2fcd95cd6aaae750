"""Children: their whole group ends with them, and they end with their parent however it dies."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gatewright.demo.children import Child, ChildEnded, tail

GROUP = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def _child(tmp_path: Path, code: str, *, output: bool = True) -> Child:
    command = (sys.executable, "-c", code)
    child = Child("sample", command, log=tmp_path / "log", cwd=tmp_path, environ=dict(os.environ))
    while output and not child.tail(1):
        child.check()
        time.sleep(0.005)
    return child


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie that waits for its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pid: int, patience_s: float = 10) -> bool:
    deadline = time.monotonic() + patience_s
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


async def test_the_whole_group_ends(tmp_path: Path) -> None:
    child = _child(tmp_path, GROUP)
    grandchild = int(child.tail(1)[0])
    assert is_running(grandchild)
    await child.stop(5)
    assert gone(child.pid)
    assert gone(grandchild)


async def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = _child(tmp_path, STUBBORN)
    await child.stop(0.2)
    assert gone(child.pid)


def test_one_that_ends_is_noticed_with_its_words(tmp_path: Path) -> None:
    child = _child(tmp_path, "raise SystemExit('no reason')", output=False)
    assert gone(child.pid)
    with pytest.raises(ChildEnded, match=r"sample has ended by itself \(exit status 1\)"):
        child.check()
    assert child.tail(5) == ["no reason"]
    child.kill()


def test_they_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from gatewright.demo.children import Child;"
        f"c = Child('x', (sys.executable, '-c', 'import time; time.sleep(600)'), log=Path({str(tmp_path / 'log')!r}),"
        f" cwd=Path({str(tmp_path)!r}), environ=dict(os.environ)); print(c.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -9
    assert gone(int(ended.stdout))


def test_the_tail_of_a_long_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(tmp_path / "log", 2) == ["line 99998", "line 99999"]
    assert tail(tmp_path / "missing", 2) == []
