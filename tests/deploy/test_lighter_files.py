"""What makes images smaller: shared objects lose what nothing loads, and still load."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import uvloop.loop  # noqa: F401 - its file
import yaml._yaml  # noqa: F401 - its file
from deploy_chart import REPOSITORY


@pytest.fixture(scope="module")
def lighten() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lighten", REPOSITORY / "deploy" / "image" / "lighten.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["uvloop.loop", "yaml._yaml"])
def test_an_extension_module_without_symbols_is_smaller_and_runs(
    name: str, lighten: ModuleType, tmp_path: Path
) -> None:
    original = Path(sys.modules[name].__file__ or "")
    content = lighten.without_symbols(original.read_bytes())
    assert len(content) < original.stat().st_size
    assert lighten.without_symbols(content) == content, "once is enough"
    file = tmp_path / original.name
    file.write_bytes(content)
    script = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location({name!r}, {str(file)!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.__file__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == (str(file), 0), done.stderr


@pytest.mark.parametrize("content", [b"", b"INPUT(-lc)\n", b"\x7fELF\x01\x01 of 32 bits"])
def test_what_is_no_shared_object_of_64_bits_stays_as_it_is(content: bytes, lighten: ModuleType) -> None:
    assert lighten.without_symbols(content) == content
