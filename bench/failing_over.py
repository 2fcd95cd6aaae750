"""Controllers, routers, hub and database die in turn while requests and changes go on: the figures of the proof.

The proof itself is a test; it is run here as it is, with its long stream of changes, and tells what it has counted.
"""

import asyncio
import json
import sys
from typing import Final

from bench.caller import NotAnswered
from bench.children import REPOSITORY, environment
from bench.plan import Plan
from bench.rows import Row, row
from bench.site import Site

_TEST: Final = ("tests/process/test_high_availability.py", "--long", "-k", "each_is_killed and long")
_OPTIONS: Final = ("-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider")
_PATIENCE_S: Final = 900.0


async def measure(site: Site, plan: Plan) -> list[Row]:
    """Nothing in a quick run, and where no PostgreSQL server is installed. Raises NotAnswered when the proof fails."""
    if not plan.deaths:
        return []
    figures, log = site.folder / "failing-over.json", site.folder / "failing-over.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pytest", *_TEST, *_OPTIONS,
            cwd=REPOSITORY, env={**environment(), "GATEWRIGHT_FIGURES": str(figures)}, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE_S):
            status = await process.wait()
    except TimeoutError:
        raise NotAnswered(f"the proof took longer than {_PATIENCE_S:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    if status != 0:
        raise NotAnswered("the proof failed: " + " ".join(log.read_text("utf-8", "replace").splitlines()[-3:]))
    if not figures.exists():
        return []
    found = json.loads(figures.read_text())
    return [
        row("changes while two controllers, two routers, hub and database are killed", found["changes"], "changes"),
        row("requests to an unchanged API meanwhile", found["requests"], "requests"),
        row("of them failed", found["failed"], "requests", most=0),
        row("of them asked again after a broken connection", found["asked_again"], "requests"),
        row("hand-over of the link after kill -9", found["hand_over_s"], "s", most=10),
        row("slowest change, with the database away", found["slowest_change_s"], "s"),
    ]
