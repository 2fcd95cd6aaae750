"""Makes the rig importable by the tests here."""

import importlib.util
import sys
from pathlib import Path


def _importable(name: str, file: str) -> None:
    """Folders of tests are no packages and must not be on the import path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "xds" / file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("xds_rig", "rig.py")
