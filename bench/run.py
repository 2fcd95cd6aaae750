"""A run from start to end. Nothing is left running, however it ends."""

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path

from rich.console import Console

from bench.caller import NotAnswered
from bench.children import Children
from bench.gateway import Refused
from bench.hub_call import NotDone
from bench.plan import Plan
from bench.rows import Report, table, write
from bench.sections import SECTIONS, Section
from bench.site import Site
from bench.slices import LoadFailed
from gatewright.demo.children import ChildEnded
from gatewright.hub.client import HubClientError

MEASURED, FAILED, INTERRUPTED = 0, 1, 130
PROBLEMS = (NotAnswered, NotDone, Refused, LoadFailed, ChildEnded, HubClientError, OSError)
_LOOK_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run(plan: Plan, only: Sequence[str], output: Path, console: Console) -> int:
    """Measure, everything or `only` some sections; the exit status. A missed target is a finding and no failure."""
    sections = [section for section in SECTIONS if not only or section.name in only]
    task = asyncio.ensure_future(_run(plan, sections, output, console))
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        console.print("Interrupted; nothing was written.")
        return INTERRUPTED
    except PROBLEMS as problem:
        _explain([problem], console)
    except ExceptionGroup as group:
        expected, others = group.split(PROBLEMS)
        if others is not None:
            raise
        _explain(expected.exceptions if expected else (), console)
    return FAILED


def _explain(problems: Iterable[Exception], console: Console) -> None:
    for problem in problems:
        console.print("This could not be measured:", problem, highlight=False, markup=False)


async def _run(plan: Plan, sections: Sequence[Section], output: Path, console: Console) -> int:
    report = Report(console)
    with tempfile.TemporaryDirectory(prefix="gatewright-bench-") as folder:
        children = Children(Path(folder))
        needed = {name for section in sections for name in section.gateways}
        sizes = {name: size for name, size in plan.sizes.items() if name in needed}
        site = Site(Path(folder), children, sizes=sizes, upstreams=plan.deploys + 20)
        try:
            await _watched(children, _measure(site, plan, sections, report))
        except BaseException:
            _last_words(Path(folder), console)
            raise
        finally:
            try:
                await site.close()
                await children.close()
            finally:
                children.kill()
    console.print()
    console.print(table(report.rows))
    write(report.rows, output)
    console.print(f"Written to {output}.", highlight=False)
    return MEASURED


async def _watched(children: Children, work: Coroutine[None, None, None]) -> None:
    """Do the work as long as all processes run. Raises ChildEnded when one of them ends by itself."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            children.check()
            await asyncio.wait({task}, timeout=_LOOK_S)
        task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


async def _measure(site: Site, plan: Plan, sections: Sequence[Section], report: Report) -> None:
    report.say("Starting backend, plain Envoy and hub")
    await site.start()
    for name, size in site.sizes.items():
        report.say(f"A gateway gets its {size} APIs from the hub")
        await site.fill(name)
    for section in sections:
        report.say(section.title)
        report.add(*await section.measure(site, plan))


def _last_words(folder: Path, console: Console) -> None:
    """What the processes wrote last, because their folder goes away."""
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        if lines:
            console.print(f"The last words of {log.stem}:", *lines, sep="\n  ", highlight=False, markup=False)
