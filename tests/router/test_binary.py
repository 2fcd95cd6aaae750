"""Finding Envoy, and saying what is wrong with what was found."""

import importlib.metadata
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gatewright.router.binary import check, locate
from gatewright.router.errors import UnusableBinary


def _script(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "envoy"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


async def test_the_installed_package_has_one_that_runs() -> None:
    binary = await check(locate())

    assert binary.version[:2] == (1, 40)


def test_a_setting_wins() -> None:
    assert locate("/opt/envoy") == Path("/opt/envoy")


def test_without_the_package_it_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", missing)

    with pytest.raises(UnusableBinary, match=r"gatewright\.envoy\.binary"):
        locate()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo hello", "is not an Envoy"),
        ("echo broken >&2; exit 5", "exit status 5: broken"),
        ("echo 'envoy  version: abc/1.30.0/Clean/RELEASE/BoringSSL'", r"Envoy 1\.30\.0; at least 1\.38"),
    ],
)
async def test_what_is_wrong_is_told(tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(UnusableBinary, match=words):
        await check(_script(tmp_path, script))


async def test_a_file_that_may_not_be_executed_is_told(tmp_path: Path) -> None:
    file = _script(tmp_path, "true")
    file.chmod(0o644)

    with pytest.raises(UnusableBinary, match="permission denied"):
        await check(file)


async def test_a_version_that_was_not_measured_is_a_warning(tmp_path: Path) -> None:
    with capture_logs() as logs:
        await check(_script(tmp_path, "echo 'envoy  version: abc/1.41.2/Clean/RELEASE/BoringSSL'"))

    assert logs[0]["log_level"] == "warning"
    assert logs[0]["version"] == "1.41.2"
