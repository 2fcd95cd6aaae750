"""`gateway-controller` and `gateway-runtime` as the original's images call them: options, exit codes, texts."""

import subprocess
import sys
from pathlib import Path

import pytest

from gatewright import process
from gatewright.cli import original_programs


def start(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"from gatewright.cli.original_programs import {program}; {program}()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.conforms("OP-001")
def test_a_controller_needs_a_file() -> None:
    ended = start("controller")
    assert ended.returncode == 1
    first, usage = ended.stderr.splitlines()
    assert first == "Error: -config flag is required"
    assert usage.startswith("Usage: ")


@pytest.mark.conforms("OP-002")
def test_a_file_that_is_missing(tmp_path: Path) -> None:
    there, missing = tmp_path / "a.toml", tmp_path / "b.toml"
    there.write_text("")
    ended = start("controller", "-config", str(missing))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Failed to load configuration from {missing}:")
    assert "failed to load config file" in ended.stderr
    both = start("controller", f"-config={there}", "--config", str(missing))
    assert both.returncode == 1
    assert both.stderr.startswith(f"Failed to load configuration from {there}, {missing}:")
    assert start("runtime", "--pol.config", str(missing)).returncode == 1


def test_all_problems_are_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[controller.server]\napi_port = 0\nxds_port = "x"\n')
    ended = start("controller", "-config", str(file))
    assert ended.stderr.count("controller.server.") >= 2


@pytest.mark.parametrize("arguments", [("-port", "1"), ("-config",), ("-config=",)])
def test_a_wrong_option_of_the_controller(arguments: tuple[str, ...]) -> None:
    ended = start("controller", *arguments)
    assert ended.returncode == 1
    assert "flag" in ended.stderr


@pytest.mark.parametrize("option", ["--config", "file", "--rtr.", "--py.socket", "--py.listen=1"])
def test_a_wrong_option_of_the_runtime(option: str) -> None:
    ended = start("runtime", option)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What `process` is asked to run, instead of running it."""
    asked: list[object] = []
    monkeypatch.setattr(process, "router", lambda loaded: asked.append(loaded.settings) or 0)
    return asked


def test_options_for_envoy_and_ports_open_to_the_network_of_containers(
    started: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("a.toml", "b.toml")]
    files[0].write_text("[router]\nlistener_port = 8181\n")
    files[1].write_text('[gatewright.bind]\nadmin = "127.0.0.1"\n')
    arguments = ["--pol.config", str(files[0]), f"--pol.config={files[1]}", "--rtr.log-level", "debug"]
    monkeypatch.setattr(
        sys, "argv", ["gateway-runtime", *arguments, "--rtr.concurrency=2", "--rtr.component-log-level", "x:y"]
    )
    with pytest.raises(SystemExit) as ended:
        original_programs.runtime()
    assert ended.value.code == 0
    (settings,) = started
    assert settings.router.listener_port == 8181
    assert (settings.gatewright.envoy.log_level, settings.gatewright.envoy.concurrency) == ("debug", 2)
    assert (settings.gatewright.bind.xds, settings.gatewright.bind.admin) == ("0.0.0.0", "127.0.0.1")
    assert capsys.readouterr().err == "--rtr.component-log-level means nothing here and is ignored\n"
