"""Takes over the fixtures of `tests/e2e/fixtures.py`."""

import importlib.util
import sys
from pathlib import Path

_FILE = Path(__file__).parents[1] / "e2e" / "fixtures.py"

if "gateway_fixtures" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("gateway_fixtures", _FILE)
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["gateway_fixtures"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

from gateway_fixtures import (  # noqa: E402 - needs the lines above
    backend,
    gateway,
    nothing_left,
    other_backend,
    pytest_runtest_makereport,
)

__all__ = ["backend", "gateway", "nothing_left", "other_backend", "pytest_runtest_makereport"]
