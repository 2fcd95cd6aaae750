"""Makes the modules of this folder importable."""

import importlib.util
import sys
from pathlib import Path

if "recorded_load" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("recorded_load", Path(__file__).parent / "load.py")
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["recorded_load"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)
