"""Makes the collector importable: folders of tests are no packages and must not be on the import path."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewright.observability import tracing

if "otlp_collector" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("otlp_collector", Path(__file__).parent / "collector.py")
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["otlp_collector"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

from otlp_collector import Collector


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def nobody_traces() -> Iterator[None]:
    yield
    tracing.install(None)
