"""Takes over the fixtures of `tests/e2e/fixtures.py`, the hostile control plane of the link's tests, and schedules."""

import importlib.util
import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1]
if str(_TESTS.parent) not in sys.path:
    sys.path.append(str(_TESTS.parent))  # for the fleet of the benchmark


def _importable(name: str, path: Path) -> None:
    """Folders of tests are no packages and must not be on the import path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("gateway_fixtures", _TESTS / "e2e" / "fixtures.py")
_importable("controlplane_hostile", _TESTS / "controlplane" / "hostile.py")
_importable("envoy_certificates", _TESTS / "envoy" / "certificates.py")
for _name in ("line", "schedule", "told", "world", "probe", "play", "verdict"):
    _importable(f"fault_{_name}", _TESTS / "faults" / "schedules" / f"{_name}.py")

from gateway_fixtures import (  # noqa: E402 - needs the lines above
    backend,
    gateway,
    nothing_left,
    other_backend,
    pytest_runtest_makereport,
)

__all__ = ["backend", "gateway", "nothing_left", "other_backend", "pytest_runtest_makereport"]
