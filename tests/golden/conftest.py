"""`pytest tests/golden --update-golden` writes the files again; read the difference before you commit it."""

import importlib.util
import sys
from pathlib import Path


def _importable(name: str, file: str) -> None:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent.parent / "envoy" / file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("envoy_harness", "harness.py")
_importable("envoy_certificates", "certificates.py")
