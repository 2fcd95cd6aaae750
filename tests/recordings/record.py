"""Records conversations anew: `.venv/bin/python tests/recordings/record.py`, or only those that are named."""

import asyncio
import importlib.util
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from gatewright.observability.logging import configure_logging

HERE = Path(__file__).parent
SCENARIOS = {"cloud": "cloud_scenario.py", "on_premises": "on_premises_scenario.py"}


def _run(path: Path, name: str) -> object:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: list[str]) -> int:
    """Record the named conversations, or all."""
    if set(arguments) - set(SCENARIOS):
        print(f"usage: record.py [{'|'.join(SCENARIOS)}]...", file=sys.stderr)
        return 2
    configure_logging("record", level="error")
    _run(HERE / "load.py", "recorded_load")
    for name in arguments or SCENARIOS:
        record: Callable[[Path, Path], Awaitable[None]] = _run(HERE / SCENARIOS[name], f"{name}_scenario").record  # type: ignore[attr-defined]
        with tempfile.TemporaryDirectory() as work:
            (Path(work) / "proxy").mkdir()
            asyncio.run(record(HERE / name, Path(work)))  # type: ignore[arg-type]
        print(f"recorded: {HERE / name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
