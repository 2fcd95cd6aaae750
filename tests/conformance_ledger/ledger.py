"""What the conformance ledger knows: statements, deviations, test results, and how they add up.

Plain data and functions over text; reads the files of the repository and nothing else. The pytest plugin and
`scripts/conformance.py` both build on it.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REFERENCES = {
    "CP": "control-plane protocol",
    "AP": "bottom-up sync with API Manager",
    "MG": "management API",
    "DP": "data plane",
    "PO": "policies",
    "OP": "deployment and configuration",
}
"""Prefix of a statement id → what that reference describes, in the order of the report."""

STATEMENTS_FOLDER = "conformance"
DEVIATIONS_FILE = "docs/deviations.md"
RESULTS_FILE = "build/conformance.json"

_ID = re.compile(r"[A-Z]{2}-\d{3}")
_LOOSE_ID = re.compile(r"([A-Za-z]+)\W*(\d+)")
_CELL_BREAK = re.compile(r"(?<!\\)\|")
_ROW_ID = re.compile(rf"({_ID.pattern})( \(tested\))?")
_NUMBERED_SECTION = "## Numbered statements"
_HEADER = ("Statement", "What Gatewright does instead", "Reason")


class LedgerError(Exception):
    """A file of the ledger cannot be used; the text names every problem found in it, one a line."""


@dataclass(frozen=True)
class Deviation:
    """A statement that Gatewright deliberately does not keep, or keeps in part."""

    statement: str
    instead: str
    reason: str
    tested: bool
    """True when marked tests may carry the id: they check what the row says, or the part that is kept."""


@dataclass(frozen=True)
class Results:
    """Outcomes of marked tests, from the last whole run and any narrower runs after it."""

    whole_run_at: float | None
    """Seconds since the epoch at which the last run of all marked tests began; None when there was none."""
    outcomes: Mapping[str, Mapping[str, str]]
    """Statement id → test node id → `passed`, `failed`, `skipped`, `xfailed`, `xpassed` or `missing`."""


@dataclass(frozen=True)
class Tally:
    """How the statements of one reference stand. Every id is in exactly one of the first three lists."""

    covered: list[str] = field(default_factory=list)
    deviating: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    """Ids with a failed test, whichever of the other lists they are in."""

    @property
    def total(self) -> int:
        """Number of statements of the reference."""
        return len(self.covered) + len(self.deviating) + len(self.open)


def read_statements(root: Path) -> dict[str, str]:
    """Statement id → one-line text, from `conformance/*.tsv`. Raises LedgerError naming every bad line."""
    texts: dict[str, str] = {}
    problems: list[str] = []
    folder = root / STATEMENTS_FOLDER
    for prefix in REFERENCES:
        path = folder / f"{prefix}.tsv"
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            statement, _, text = line.partition("\t")
            where = f"{STATEMENTS_FOLDER}/{path.name}:{number}"
            if statement != f"{prefix}-{number:03d}":
                problems.append(f"{where}: expected the id {prefix}-{number:03d}, found {statement!r}")
            elif not text.strip() or "\t" in text:
                problems.append(f"{where}: expected one text after the tab")
            else:
                texts[statement] = text.strip()
    if not texts and not problems:
        problems.append(f"no statements found in {folder}")
    if problems:
        raise LedgerError("\n".join(problems))
    return texts


def nearest(unknown: str, known: Iterable[str]) -> str | None:
    """The known id that `unknown` was most likely meant to be: closest prefix, then closest number."""
    ids = sorted(known)
    match = _LOOSE_ID.fullmatch(unknown.strip())
    if match:
        prefixes = {statement.partition("-")[0] for statement in ids}
        close = difflib.get_close_matches(match[1].upper(), sorted(prefixes), n=1, cutoff=0.5)
        if close:
            number = int(match[2])
            same = [statement for statement in ids if statement.startswith(f"{close[0]}-")]
            return min(same, key=lambda statement: abs(int(statement.partition("-")[2]) - number))
    return next(iter(difflib.get_close_matches(unknown, ids, n=1, cutoff=0)), None)


def unknown_statement(statement: str, known: Iterable[str]) -> str:
    """The sentence to show when `statement` is not in the ledger."""
    near = nearest(statement, known)
    return f"unknown statement {statement!r}" + (f"; the nearest known one is {near}" if near else "")


def parse_deviations(text: str, known: Mapping[str, str]) -> tuple[dict[str, Deviation], list[str]]:
    """Rows of the table under "Numbered statements", and every problem with the file, with line numbers."""
    rows: dict[str, Deviation] = {}
    problems: list[str] = []
    section, header_seen = "", False
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{DEVIATIONS_FILE}:{number}"
        if line.startswith("## "):
            section = line.strip()
        cells = _cells(line)
        if not cells or all(set(cell) <= set("-: ") for cell in cells):
            continue
        if section != _NUMBERED_SECTION:
            if _ROW_ID.match(cells[0]):
                problems.append(f"{where}: rows with a statement id belong under '{_NUMBERED_SECTION}'")
        elif not header_seen:
            header_seen = True
            if tuple(cells) != _HEADER:
                problems.append(f"{where}: the table's header must be | {' | '.join(_HEADER)} |")
        else:
            problem = _add_row(rows, cells, known)
            if problem:
                problems.append(f"{where}: {problem}")
    if not header_seen:
        problems.append(f"{DEVIATIONS_FILE}: no table under '{_NUMBERED_SECTION}'")
    return rows, problems


def _cells(line: str) -> list[str]:
    stripped = line.strip()
    if not stripped.startswith("|"):
        return []
    inner = stripped[1:-1] if stripped.endswith("|") and not stripped.endswith("\\|") else stripped[1:]
    return [cell.strip().replace("\\|", "|") for cell in _CELL_BREAK.split(inner)]


def _add_row(rows: dict[str, Deviation], cells: list[str], known: Mapping[str, str]) -> str | None:
    """Add one row of the table; returns what is wrong with it, if anything is."""
    if len(cells) != len(_HEADER):
        return f"expected {len(_HEADER)} cells, found {len(cells)} (write a pipe inside a cell as \\|)"
    match = _ROW_ID.fullmatch(cells[0])
    if not match:
        return f"expected an id such as CP-013 or 'CP-013 (tested)' in the first cell, found {cells[0]!r}"
    statement = match[1]
    if statement not in known:
        return unknown_statement(statement, known)
    if statement in rows:
        return f"{statement} has a row already"
    if not cells[1] or not cells[2]:
        return f"{statement}: say both what Gatewright does instead and why"
    rows[statement] = Deviation(statement, cells[1], cells[2], tested=match[2] is not None)
    return None


def read_deviations(root: Path, known: Mapping[str, str]) -> dict[str, Deviation]:
    """The deviations of the repository. Raises LedgerError naming every problem of the file."""
    path = root / DEVIATIONS_FILE
    if not path.is_file():
        return {}
    rows, problems = parse_deviations(path.read_text(encoding="utf-8"), known)
    if problems:
        raise LedgerError("\n".join(problems))
    return rows


def contradiction(statement: str, deviations: Mapping[str, Deviation]) -> str | None:
    """Why a test must not claim `statement`: it is listed as deviating and its row does not allow tests."""
    row = deviations.get(statement)
    if row is None or row.tested:
        return None
    return (
        f"{statement} is listed in {DEVIATIONS_FILE} as deviating, so no test can prove it; remove the row, "
        f"or write '{statement} (tested)' there if the test checks what the row says or the part that is kept"
    )


def read_results(root: Path) -> Results | None:
    """Results of the last runs; None when there are none or the file is not one of ours."""
    try:
        document = json.loads((root / RESULTS_FILE).read_text(encoding="utf-8"))
        outcomes = {
            str(statement): {str(node): str(outcome) for node, outcome in tests}
            for statement, tests in document["statements"].items()
        }
        whole = document["whole_run_at"]
        return Results(None if whole is None else float(whole), outcomes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_results(root: Path, results: Results) -> None:
    """Replace the results file in one step, so that a reader never sees half of it."""
    path = root / RESULTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "whole_run_at": results.whole_run_at,
        "statements": {key: sorted(tests.items()) for key, tests in sorted(results.outcomes.items())},
    }
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def is_covered(tests: Mapping[str, str]) -> bool:
    """True when no test failed and at least one passed, a parametrised test only with all its cases."""
    cases: dict[str, list[str]] = {}
    for node, outcome in tests.items():
        cases.setdefault(node.partition("[")[0], []).append(outcome)
    if has_failed(tests):
        return False
    return any(all(outcome == "passed" for outcome in outcomes) for outcomes in cases.values())


def has_failed(tests: Mapping[str, str]) -> bool:
    """True when any case of any test failed."""
    return "failed" in tests.values()


def tally(statements: Mapping[str, str], deviations: Mapping[str, Deviation], results: Results) -> dict[str, Tally]:
    """How each reference stands, in the order of `REFERENCES`; a deviation counts as such even with tests."""
    sums = {prefix: Tally() for prefix in REFERENCES}
    for statement in sorted(statements):
        row = sums[statement.partition("-")[0]]
        tests = results.outcomes.get(statement, {})
        if has_failed(tests):
            row.failing.append(statement)
        if statement in deviations:
            row.deviating.append(statement)
        elif is_covered(tests):
            row.covered.append(statement)
        else:
            row.open.append(statement)
    return sums
