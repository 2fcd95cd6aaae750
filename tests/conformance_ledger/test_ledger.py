"""The ledger's pure part: statements, nearest ids, deviations, sums."""

from pathlib import Path

import pytest

from conformance_ledger import ledger

KNOWN = {"CP-001": "one", "CP-002": "two", "DP-001": "three"}

TABLE = """# Deviations

## Numbered statements

| Statement | What Gatewright does instead | Reason |
|---|---|---|
{rows}

## Deviations without a number

### Something

| Where | What |
|---|---|
| here | there |
"""


def deviations(rows: str) -> tuple[dict[str, ledger.Deviation], list[str]]:
    return ledger.parse_deviations(TABLE.format(rows=rows), KNOWN)


@pytest.mark.parametrize(
    ("unknown", "near"),
    [
        ("CP-003", "CP-002"),
        ("CP-1", "CP-001"),
        ("cp-002", "CP-002"),
        ("DP-900", "DP-001"),
        ("CPP-002", "CP-002"),
        ("CP-O02", "CP-002"),
    ],
)
def test_nearest_id(unknown: str, near: str) -> None:
    assert ledger.nearest(unknown, KNOWN) == near


def test_nearest_of_nothing() -> None:
    assert ledger.nearest("CP-001", []) is None
    assert ledger.unknown_statement("CP-001", []) == "unknown statement 'CP-001'"


def write_statements(root: Path, text: str, name: str = "CP.tsv") -> None:
    (root / "conformance").mkdir(exist_ok=True)
    (root / "conformance" / name).write_text(text, encoding="utf-8")


def test_statements_are_read(tmp_path: Path) -> None:
    write_statements(tmp_path, "CP-001\tanswer 200 to `{}`\nCP-002\ttwo\n")
    write_statements(tmp_path, "DP-001\tthree\n", "DP.tsv")
    assert ledger.read_statements(tmp_path) == {"CP-001": "answer 200 to `{}`", "CP-002": "two", "DP-001": "three"}


def test_every_bad_line_of_the_statements_is_named(tmp_path: Path) -> None:
    write_statements(tmp_path, "CP-001\tone\nCP-003\tgap\nCP-003\t\nCP-004\ta\tb\n")
    with pytest.raises(ledger.LedgerError) as caught:
        ledger.read_statements(tmp_path)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"conformance/CP.tsv:{number}" for number in (2, 3, 4)]


def test_no_statements_at_all(tmp_path: Path) -> None:
    with pytest.raises(ledger.LedgerError, match="no statements found"):
        ledger.read_statements(tmp_path)


def test_deviation_rows() -> None:
    rows, problems = deviations("| CP-001 | does \\| that | safer |\n| DP-001 (tested) | more | kept in part |")
    assert problems == []
    assert rows == {
        "CP-001": ledger.Deviation("CP-001", "does | that", "safer", tested=False),
        "DP-001": ledger.Deviation("DP-001", "more", "kept in part", tested=True),
    }
    assert "CP-001 is listed" in (ledger.contradiction("CP-001", rows) or "")
    assert ledger.contradiction("DP-001", rows) is None
    assert ledger.contradiction("CP-002", rows) is None


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("| CP-009 | a | b |", "docs/deviations.md:7: unknown statement 'CP-009'; the nearest known one is CP-002"),
        ("| CP-001 | a | b |\n| CP-001 | a | b |", "docs/deviations.md:8: CP-001 has a row already"),
        ("| CP-001 | a | |", "docs/deviations.md:7: CP-001: say both"),
        ("| CP-001 | a |", "docs/deviations.md:7: expected 3 cells, found 2"),
        ("| CP-001 | a | b | c |", "docs/deviations.md:7: expected 3 cells, found 4"),
        ("| section 4 | a | b |", "docs/deviations.md:7: expected an id"),
        ("| CP-001 (perhaps) | a | b |", "docs/deviations.md:7: expected an id"),
        ("\n## Others\n\n| CP-001 | a | b |", "docs/deviations.md:10: rows with a statement id belong under"),
    ],
)
def test_bad_deviation_rows(rows: str, problem: str) -> None:
    _, problems = deviations(rows)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_the_table_of_deviations_must_be_there() -> None:
    assert ledger.parse_deviations("# Deviations\n", KNOWN)[1] == [
        "docs/deviations.md: no table under '## Numbered statements'"
    ]
    _, problems = ledger.parse_deviations("## Numbered statements\n| Id | Instead | Reason |\n|---|---|---|\n", KNOWN)
    assert "header must be | Statement |" in problems[0]


@pytest.mark.parametrize(
    ("tests", "covered"),
    [
        ({}, False),
        ({"t.py::a": "passed"}, True),
        ({"t.py::a": "skipped"}, False),
        ({"t.py::a": "missing"}, False),
        ({"t.py::a": "xfailed"}, False),
        ({"t.py::a[1]": "passed", "t.py::a[2]": "skipped"}, False),
        ({"t.py::a[1]": "passed", "t.py::a[2]": "passed"}, True),
        ({"t.py::a": "passed", "t.py::b": "skipped"}, True),
        ({"t.py::a": "passed", "t.py::b": "failed"}, False),
    ],
)
def test_what_covers_a_statement(tests: dict[str, str], covered: bool) -> None:
    assert ledger.is_covered(tests) is covered


def test_every_statement_is_in_one_list() -> None:
    rows, _ = deviations("| CP-001 (tested) | a | b |")
    outcomes = {"CP-001": {"t.py::a": "passed"}, "CP-002": {"t.py::b": "failed"}, "DP-001": {"t.py::a": "passed"}}
    sums = ledger.tally(KNOWN, rows, ledger.Results(1.0, outcomes))
    assert (sums["CP"].covered, sums["CP"].deviating, sums["CP"].open) == ([], ["CP-001"], ["CP-002"])
    assert sums["CP"].failing == ["CP-002"]
    assert sums["DP"].covered == ["DP-001"]
    assert sums["PO"].total == 0


def test_results_survive_a_round_trip(tmp_path: Path) -> None:
    results = ledger.Results(12.5, {"CP-001": {"t.py::a[x|1]": "passed"}})
    ledger.write_results(tmp_path, results)
    assert ledger.read_results(tmp_path) == results


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"statements": [], "whole_run_at": 1}', '{"statements": {"CP-001": 3}}']
)
def test_a_foreign_results_file_is_no_results(tmp_path: Path, text: str) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / ledger.RESULTS_FILE).write_text(text, encoding="utf-8")
    assert ledger.read_results(tmp_path) is None
