"""The whole demo, once: every step holds, and nothing is left of it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = (sys.executable, "-m", "gatewright.cli.main", "demo")
STEPS = (
    (r"The hub, a control plane, is running", ""),
    (r"A sample backend is running", ""),
    (r"A gateway is registered at the hub, its token stored", ""),
    (r"The gateway with Envoy is up, linked over verified TLS", ""),
    (r"The hub deploys an API, made from an OpenAPI document", "deployed"),
    (r"Envoy refuses a call without a key", "401"),
    (r"The hub issues an API key", ""),
    (r"Envoy lets the call with the key through", "200"),
    (r"The hub revokes the key; Envoy refuses it", "401"),
    (r"A second API is made at the gateway, and served", "200"),
    (r"It arrives at the hub", ""),
    (r"The hub undeploys the first API; the second goes on", "404"),
    (r"A stand-in for an on-premises API Manager is running", ""),
    (r"Gateway and OAuth client are registered there", ""),
    (r"A second gateway is up, linked over verified TLS", ""),
    (r"An API is made at this gateway, and served", "200"),
    (r"It appears at the API Manager, with a revision", "rev 1"),
    (r"It is edited at the gateway, and there as well", "rev 2"),
    (r"The API Manager undeploys it; Envoy stops serving it", "404"),
)
STEP = re.compile(
    r"^(?P<mark>\S+) +(?P<number>\d+)  (?P<text>.+?) {2,}(?P<result>(?:\w+(?: \d)?)?) +(?P<took>[\d.]+ m?s)$",
    re.MULTILINE,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where temporary folders go; short, because paths of Unix sockets are."""
    with tempfile.TemporaryDirectory(prefix="gw-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def environ(folder: Path) -> dict[str, str]:
    """The demo's folder below the test's own; a proxy that must not be used."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:1")
    return {**os.environ, **proxies, "TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8"}


def _processes_of(folder: Path) -> list[str]:
    """Command lines of processes that mention the demo's folder, or stand in it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            stands_in = str((entry / "cwd").readlink())
        except (OSError, ValueError):
            continue
        if str(folder) in command or stands_in.startswith(str(folder)):
            found.append(command)
    return found


def _nothing_left(folder: Path) -> bool:
    deadline = time.monotonic() + 10
    while _processes_of(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _export(output: str, name: str) -> str:
    found = re.search(rf"export {name}=(\S+)", output)
    assert found, output
    return found[1]


def test_every_step_holds_and_nothing_is_left(environ: dict[str, str], folder: Path) -> None:
    ended = subprocess.run([*PROGRAM, "--once"], env=environ, capture_output=True, text=True, timeout=180, check=False)
    output = ended.stdout
    assert ended.returncode == 0, output + ended.stderr
    steps = [(found["mark"], found["text"], found["result"]) for found in STEP.finditer(output)]
    assert steps == [("✓", text, result) for text, result in STEPS], output
    assert f"All {len(STEPS)} steps held" in output
    assert max(len(line) for line in output.split("\n") if "export" not in line) <= 80
    assert _nothing_left(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="the command lines are for curl")
def test_the_command_lines_work_by_hand_until_ctrl_c(environ: dict[str, str], folder: Path) -> None:
    log = folder / "output"
    with log.open("wb") as output:
        demo = subprocess.Popen(PROGRAM, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        text = _until(log, "Ctrl-C stops it", demo)
        names = ("D", "HUB", "GATEWAY", "CALL", "APIM", "APIS", "SITE", "SITE_CALL")
        variables = {name: _export(text, name) for name in names}
        commands = [line.strip() for line in text.replace("\\\n", "").split("\n") if line.startswith("        curl")]
        assert len(commands) >= len(STEPS)
        answers = {}
        for command in commands:
            ended = subprocess.run(
                ["bash", "-c", f"{command} -w '\\nstatus=%{{http_code}}'"],
                env={**os.environ, **variables, "no_proxy": "*"},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert ended.returncode == 0, (command, ended.stderr)
            answers[command] = int(re.findall(r"status=(\d+)", ended.stdout)[-1])
        # Revoking twice, creating a second time and calling what was undeployed are refused; nothing else is.
        assert {command for command, status in answers.items() if status >= 400} <= {
            command
            for command in commands
            if any(words in command for words in ("DELETE", "rest-apis", "pet-store/pet", "undeploy-revision"))
        }, answers
    finally:
        demo.send_signal(signal.SIGINT)
        status = demo.wait(60)
    assert status == 0, log.read_text()
    assert _nothing_left(folder)
    assert [path.name for path in folder.iterdir()] == ["output"]


def test_interrupted_in_the_middle(environ: dict[str, str], folder: Path) -> None:
    log = folder / "output"
    with log.open("wb") as output:
        demo = subprocess.Popen([*PROGRAM, "--once"], env=environ, stdout=output, stderr=subprocess.STDOUT)
    _until(log, "its token stored", demo)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 130
    assert "Interrupted." in log.read_text()
    assert _nothing_left(folder)
    assert [path.name for path in folder.iterdir()] == ["output"]


def test_killed_in_the_middle_leaves_no_process_and_the_next_run_cleans_up(
    environ: dict[str, str], folder: Path
) -> None:
    log = folder / "output"
    with log.open("wb") as output:
        demo = subprocess.Popen([*PROGRAM, "--once"], env=environ, stdout=output, stderr=subprocess.STDOUT)
    _until(log, "linked over verified TLS", demo)
    demo.kill()
    demo.wait(60)
    assert _nothing_left(folder)
    assert len(list(folder.glob("gatewright-demo-*"))) == 1
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = subprocess.run(
            [*PROGRAM, "--hub-port", port], env=environ, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert (
        ended.stderr
        == f"error: port {port} (--hub-port) is in use. Stop what listens there, or leave --hub-port out.\n"
    )
    assert [path.name for path in folder.iterdir()] == ["output"]


def _until(log: Path, words: str, demo: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + 120
    while words not in (text := log.read_text()):
        assert demo.poll() is None, text
        assert time.monotonic() < deadline, text
        time.sleep(0.02)
    return text
