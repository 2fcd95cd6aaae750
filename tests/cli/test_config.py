"""`config …` and what `--data-dir` means."""

from pathlib import Path

import pytest

from gatewright.cli import configuration


def test_show_names_sources_and_masks_secrets(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[controller.controlplane]\nhost = "hub:9243"\ntoken = "very-secret"\n')
    monkeypatch.setenv("APIP_GW_CONTROLLER_SERVER_API_PORT", "9999")
    ran = run("config", "show", "--config", str(file), "--changed", "-o", "json")
    assert ran.code == 0
    shown = {row["key"]: (row["value"], row["source"]) for row in ran.json}
    assert shown["controller.controlplane.host"] == ("hub:9243", str(file))
    assert shown["controller.server.api_port"] == ("9999", "APIP_GW_CONTROLLER_SERVER_API_PORT")
    assert "controller.controlplane.token" in shown
    assert "very-secret" not in ran.out + ran.err
    assert len(shown) == 3


def test_show_one_table(run) -> None:
    keys = [row["key"] for row in run("config", "show", "controller.server", "-o", "json").json]
    assert keys
    assert all(key.startswith("controller.server.") for key in keys)
    assert run("config", "show", "no.such").out == "nothing of that name\n"


def test_check_reports_everything_at_once(run, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[controller.server]\napi_port = 99999\nxds_port = "x"\napi_prot = 1\n')
    ran = run("config", "check", "--config", str(file))
    assert ran.code == 1
    assert ran.out.count("error: ") == 2
    assert 'did you mean "controller.server.api_port"' in ran.out
    assert run("config", "check").out == "the configuration is good\n"
    answer = run("config", "check", "--config", str(tmp_path / "missing.toml"), "-o", "json")
    assert (answer.code, answer.json["ok"], len(answer.json["problems"])) == (1, False, 1)


def test_a_process_with_a_bad_configuration_is_usage(run, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("[controller.server\n")
    ran = run("up", "--config", str(file))
    assert ran.code == 2
    assert ran.err.startswith("error: the configuration cannot be used\n")
    assert str(file) in ran.err


def test_reference(run) -> None:
    assert run("config", "reference").out.startswith("# Configuration\n")


def test_the_data_dir_moves_everything_that_is_not_named(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[gatewright]\ndata_dir = "elsewhere"\n')
    settings = configuration.load([file], data_dir=tmp_path / "kept").settings
    assert settings.gatewright.data_dir == str(tmp_path / "kept")
    assert settings.controller.storage.sqlite.path == str(tmp_path / "kept" / "gateway.db")
    key = settings.controller.encryption.providers[0].keys[0]
    assert Path(key.file).is_relative_to(tmp_path / "kept")
    file.write_text('[controller.storage.sqlite]\npath = "named.db"\n')
    settings = configuration.load([file], data_dir=tmp_path / "kept").settings
    assert settings.controller.storage.sqlite.path == "named.db"


def test_check_takes_files_as_arguments(run, tmp_path: Path) -> None:
    """Several, later ones win."""
    first, second = tmp_path / "config.toml", tmp_path / "overlay.toml"
    first.write_text("[controller.server]\napi_port = 0\n")
    second.write_text("[controller.server]\napi_port = 9191\n")
    assert run("config", "check", str(first)).code == 1
    assert run("config", "check", str(first), str(second)).out == "the configuration is good\n"
    assert run("config", "check", str(second), "--config", str(first)).code == 1
