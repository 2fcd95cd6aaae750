"""Fixtures over real processes, for the folders that use them; logs with failures."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_TESTS = Path(__file__).parents[1]


def _importable(name: str, path: Path) -> None:
    """Folders of tests are no packages and must not be on the import path: one is called `envoy`."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("envoy_harness", _TESTS / "envoy" / "harness.py")
_importable("envoy_certificates", _TESTS / "envoy" / "certificates.py")
_importable("gateway_processes", _TESTS / "e2e" / "gateway.py")
_importable("otlp_collector", _TESTS / "observability" / "collector.py")

import gateway_processes as processes  # noqa: E402 - needs the lines above
from envoy_harness import Backend  # noqa: E402


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    running = Backend()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def other_backend() -> Iterator[Backend]:
    running = Backend("other")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Gateway]:
    """`gatewright up`, for all tests of a module."""
    with processes.Gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Whatever a test makes is killed when the test fails to end it."""
    already = len(processes.made)
    processes.ended.clear()
    yield
    for site in processes.made[already:]:
        if site.is_running:
            site.kill()
    del processes.made[already:]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A failure shows the last lines of every process that runs, or has ended in this test."""
    del item, call
    report = yield
    if report.failed:
        for process in (*processes.ended, *processes.running):
            lines = [line for line in process.log.split("\n") if not line.startswith("[rtr] [")]
            report.sections.append((f"{process.name} {process.pid}, without access lines", "\n".join(lines[-60:])))
    return report
