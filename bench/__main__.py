"""`python -m bench [--quick]`: measures this machine's gateway, prints a table, writes build/bench.json."""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console

from bench.run import run
from bench.site import FULL, QUICK

OUTPUT = Path("build") / "bench.json"


def main() -> int:
    """The exit status: 0 measured, 1 something could not be measured, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: under two minutes")
    options = parser.parse_args()
    return asyncio.run(run(QUICK if options.quick else FULL, OUTPUT, Console()))


if __name__ == "__main__":
    sys.exit(main())
