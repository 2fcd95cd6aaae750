"""`python -m bench`: measures this machine's gateway, prints a table, writes build/bench.json.

`--quick` takes under two minutes, `--only SECTION` measures a part, `--markdown` prints what the last run has written.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console

from bench.plan import FULL, QUICK
from bench.rows import markdown, read
from bench.run import run
from bench.sections import SECTIONS
from gatewright.observability.logging import configure_logging

OUTPUT = Path("build") / "bench.json"


def main() -> int:
    """The exit status: 0 measured, 1 something could not be measured, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions and smaller gateways: under two minutes"
    )
    parser.add_argument(
        "--only", action="append", default=[], choices=[section.name for section in SECTIONS], help="only this part"
    )
    parser.add_argument(
        "--markdown", action="store_true", help=f"measure nothing: print {OUTPUT} as the table of docs/benchmarks.md"
    )
    options = parser.parse_args()
    if options.markdown:
        sys.stdout.write(markdown(read(OUTPUT)) + "\n")
        return 0
    configure_logging("bench", level="error", log_format="text")  # parts of control planes run in this process
    return asyncio.run(run(QUICK if options.quick else FULL, options.only, OUTPUT, Console()))


if __name__ == "__main__":
    sys.exit(main())
