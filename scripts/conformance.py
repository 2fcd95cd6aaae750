# noqa: INP001 - a script, not a package
"""Report of the conformance ledger: statements that tests prove, that are deviations, that are open.

Reads `conformance/`, `docs/deviations.md` and the results of the last test run; runs the marked tests itself when
those results are missing or older than the sources. Exit status: 0 all is well, 1 a marked test failed, 2 the
ledger could not be read or the tests could not be run.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conformance_ledger import ledger  # noqa: E402 - the path to it is set just above

SOURCES = ("src", "tests", "pyproject.toml")
"""What the results depend on, relative to the repository."""


def newest_source(root: Path) -> float:
    """Time of the latest change to a source, in seconds since the epoch."""
    newest = 0.0
    for name in SOURCES:
        start = root / name
        for path in [start, *start.rglob("*")]:
            if path.is_file() and "__pycache__" not in path.parts:
                newest = max(newest, path.stat().st_mtime)
    return newest


def is_current(results: ledger.Results | None, root: Path) -> bool:
    """True when all marked tests have been run since the last change to a source."""
    return results is not None and results.whole_run_at is not None and results.whole_run_at > newest_source(root)


def run_marked_tests(root: Path) -> None:
    """Run all tests with a `conforms` mark; their progress goes to standard error, results to the ledger's file."""
    command = [sys.executable, "-P", "-m", "pytest", "-m", "conforms", "-q", "--no-header", "--tb=short", "-n", "auto"]
    print("Running the marked tests: no results newer than the sources.", file=sys.stderr, flush=True)
    subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # noqa: S603 - fixed command


def as_json(sums: Mapping[str, ledger.Tally]) -> str:
    """The counts of each reference as one JSON object."""
    return json.dumps(
        {
            prefix: {
                "total": row.total,
                "covered": len(row.covered),
                "deviating": len(row.deviating),
                "open": len(row.open),
            }
            for prefix, row in sums.items()
        }
    )


def table(sums: Mapping[str, ledger.Tally]) -> list[str]:
    """The counts as lines of a table with a last line of sums."""
    lines = [f"{'':3} {'Reference':34} {'covered':>8} {'deviating':>10} {'open':>6} {'total':>6}"]
    sum_of_all = [0, 0, 0, 0]
    for prefix, row in sums.items():
        counts = [len(row.covered), len(row.deviating), len(row.open), row.total]
        lines.append(_table_line(prefix, ledger.REFERENCES[prefix], counts))
        sum_of_all = [total + count for total, count in zip(sum_of_all, counts, strict=True)]
    lines.append(_table_line("", "all", sum_of_all))
    return lines


def _table_line(prefix: str, subject: str, counts: list[int]) -> str:
    covered, deviating, still_open, total = counts
    return f"{prefix:3} {subject:34} {covered:8} {deviating:10} {still_open:6} {total:6}"


def report(
    sums: Mapping[str, ledger.Tally], deviations: Mapping[str, ledger.Deviation], results: ledger.Results
) -> list[str]:
    """The table, each deviation with its reason, and the tests that failed."""
    lines = table(sums)
    if deviations:
        lines += ["", "Deviating on purpose:"]
        for statement in sorted(deviations):
            row = deviations[statement]
            lines += [f"  {statement}  {row.instead}", f"          because {row.reason}"]
    failing = [statement for row in sums.values() for statement in row.failing]
    if failing:
        lines += ["", "Failed:"]
    for statement in failing:
        tests = results.outcomes[statement]
        lines += [f"  {statement}  {node}" for node, outcome in sorted(tests.items()) if outcome == "failed"]
    return lines


def open_statements(sums: Mapping[str, ledger.Tally], texts: Mapping[str, str], prefix: str) -> list[str]:
    """The open statements of one reference with their texts."""
    row = sums[prefix]
    heading = f"{prefix}: {len(row.open)} of {row.total} statements are open ({ledger.REFERENCES[prefix]})"
    return [heading, *(f"  {statement}  {texts[statement]}" for statement in row.open)]


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line; wrong use ends the process with status 2."""
    parser = argparse.ArgumentParser(
        prog="conformance",
        description="Which statements of the references are proved by tests, deviating on purpose, or open.",
        epilog='Examples: make conformance · make conformance ARGS="--open CP" · make conformance ARGS=--json',
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the counts as one JSON object and nothing else")
    form.add_argument(
        "--open",
        metavar="REFERENCE",
        nargs="+",
        choices=tuple(ledger.REFERENCES),
        help=f"list the open statements of references ({', '.join(ledger.REFERENCES)}) with their texts",
    )
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--rerun", action="store_true", help="run the marked tests even if their results are current")
    when.add_argument("--cached", action="store_true", help="take the results there are, run no tests")
    return parser.parse_args(argv)


def up_to_date_results(root: Path, options: argparse.Namespace, run: Callable[[Path], None]) -> ledger.Results:
    """The results to report, after running the tests if needed. Raises LedgerError when that gave none."""
    results = ledger.read_results(root)
    if options.cached:
        if results is None or results.whole_run_at is None:
            print("No run of all marked tests is on record, so these figures are incomplete.", file=sys.stderr)
        return results or ledger.Results(None, {})
    if options.rerun or not is_current(results, root):
        before = results.whole_run_at if results else None
        run(root)
        results = ledger.read_results(root)
        if results is None or results.whole_run_at in {None, before}:
            raise ledger.LedgerError(
                "The marked tests did not run to their end (see above), so there is nothing to report. "
                "Repair what stopped them, or report on the results of earlier runs with --cached."
            )
    return results or ledger.Results(None, {})


def main(argv: list[str], root: Path = ROOT, run: Callable[[Path], None] = run_marked_tests) -> int:
    """Print the report asked for and return the exit status."""
    options = arguments(argv)
    try:
        texts = ledger.read_statements(root)
        deviations = ledger.read_deviations(root, texts)
        results = up_to_date_results(root, options, run)
    except ledger.LedgerError as error:
        print(error, file=sys.stderr)
        return 2
    sums = ledger.tally(texts, deviations, results)
    if options.json:
        print(as_json(sums))
    elif options.open:
        print("\n".join(line for prefix in options.open for line in open_statements(sums, texts, prefix)))
    else:
        print("\n".join(report(sums, deviations, results)))
    return 1 if any(row.failing for row in sums.values()) else 0


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
