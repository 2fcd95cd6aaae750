"""Makes the collector importable: folders of tests are no packages and must not be on the import path."""

import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

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


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Tests of other folders read what is logged."""
    root = logging.getLogger()
    handlers, level, configured = list(root.handlers), root.level, structlog.is_configured()
    settings = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    if configured:
        structlog.configure(**settings)
    else:
        structlog.reset_defaults()
