"""Makes what is used here importable: folders of tests are no packages and must not be on the import path."""

import importlib.util
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_FILES = {
    "controlplane_lab": _HERE.parent / "controlplane" / "lab.py",
    "controlplane_hostile": _HERE.parent / "controlplane" / "hostile.py",
    "recorded_credentials": _HERE / "credentials.py",
    "recorded_conversation": _HERE / "conversation.py",
    "recorded_recorder": _HERE / "recorder.py",
    "recorded_replay": _HERE / "replay.py",
    "recorded_site": _HERE / "site.py",
    "recorded_scenario": _HERE / "scenario.py",
}

for _name, _path in _FILES.items():
    if _name not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_name, _path)
        assert _spec is not None
        assert _spec.loader is not None
        sys.modules[_name] = _module = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(_module)
