"""The report: what it prints, when it runs the tests, and its exit status."""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from conformance_ledger import ledger

REPOSITORY = Path(__file__).resolve().parents[2]

DEVIATIONS = """## Numbered statements

| Statement | What Gatewright does instead | Reason |
|---|---|---|
| CP-003 | does it better | it was bad |
"""


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance_script", REPOSITORY / "scripts" / "conformance.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


script = load_script()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with three statements, one deviation and sources an hour old."""
    for folder in ("conformance", "docs", "src", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conformance" / "CP.tsv").write_text("CP-001\tone\nCP-002\ttwo\nCP-003\tthree\n", encoding="utf-8")
    (tmp_path / "docs" / "deviations.md").write_text(DEVIATIONS, encoding="utf-8")
    source = tmp_path / "src" / "a.py"
    source.write_text("", encoding="utf-8")
    hour_ago = time.time() - 3600
    os.utime(source, (hour_ago, hour_ago))
    return tmp_path


def results(outcome: str = "passed", age: float = 0) -> ledger.Results:
    return ledger.Results(time.time() - age, {"CP-001": {"tests/test_a.py::test_a": outcome}})


def run_giving(given: ledger.Results | None) -> tuple[Callable[[Path], None], list[Path]]:
    calls: list[Path] = []

    def run(root: Path) -> None:
        calls.append(root)
        if given is not None:
            ledger.write_results(root, given)

    return run, calls


def test_json_is_all_of_the_output(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, calls = run_giving(results())
    assert script.main(["--json"], root, run) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["CP"] == {"total": 3, "covered": 1, "deviating": 1, "open": 1}
    assert list(printed) == ["CP", "AP", "MG", "DP", "PO", "OP"]
    assert calls == [root]


def test_table_and_reasons(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.write_results(root, results())
    assert script.main(["--cached"], root) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "CP control-plane protocol 1 1 1 3" in lines
    assert "all 1 1 1 3" in lines
    assert lines[-2:] == ["CP-003 does it better", "because it was bad"]


def test_open_statements_with_texts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.write_results(root, results())
    assert script.main(["--open", "CP"], root) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  CP-002  two"]


def test_a_failed_marked_test_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ledger.write_results(root, results("failed"))
    assert script.main(["--cached"], root) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "  CP-001  tests/test_a.py::test_a"


def test_current_results_are_taken_as_they_are(root: Path) -> None:
    ledger.write_results(root, results())
    run, calls = run_giving(None)
    assert script.main([], root, run) == 0
    assert calls == []


@pytest.mark.parametrize("before", [results(age=7200), ledger.Results(None, {}), None], ids=["old", "part", "none"])
def test_tests_run_when_results_are_missing_or_old(root: Path, before: ledger.Results | None) -> None:
    if before is not None:
        ledger.write_results(root, before)
    run, calls = run_giving(results())
    assert script.main([], root, run) == 0
    assert calls == [root]


def test_tests_run_again_when_asked(root: Path) -> None:
    ledger.write_results(root, results(age=60))
    run, calls = run_giving(results("failed"))
    assert script.main(["--rerun"], root, run) == 1
    assert calls == [root]


@pytest.mark.parametrize("before", [results(age=7200), None], ids=["old", "none"])
def test_a_run_that_gives_nothing_is_said(
    root: Path, before: ledger.Results | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if before is not None:
        ledger.write_results(root, before)
    run, _ = run_giving(None)
    assert script.main(["--json"], root, run) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "did not run to their end" in printed.err


def test_a_bad_row_of_the_deviations_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "docs" / "deviations.md").write_text(DEVIATIONS.replace("CP-003", "CP-004"), encoding="utf-8")
    assert script.main(["--json"], root) == 2
    assert "unknown statement 'CP-004'; the nearest known one is CP-003" in capsys.readouterr().err


def test_an_unknown_reference_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        script.main(["--open", "XX"])
    assert caught.value.code == 2
    assert "XX" in capsys.readouterr().err


def test_the_script_runs_marked_tests_of_a_real_project(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a real pytest, so that options and working folder are right."""
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "1")
    (root / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\ntestpaths = ["tests"]\naddopts = "--import-mode=importlib"\n', encoding="utf-8"
    )
    conftest = (REPOSITORY / "tests" / "conftest.py").read_text(encoding="utf-8")
    folder = Path(ledger.__file__).parent
    (root / "tests" / "conftest.py").write_text(
        conftest.replace("Path(__file__).parent", f"Path({str(folder.parent)!r})"), encoding="utf-8"
    )
    (root / "tests" / "test_a.py").write_text(
        'import pytest\n\n@pytest.mark.conforms("CP-002")\ndef test_a():\n    pass\n\ndef test_b():\n    1 / 0\n',
        encoding="utf-8",
    )
    assert script.main(["--json"], root) == 0
    found = ledger.read_results(root)
    assert found is not None
    assert found.outcomes == {"CP-002": {"tests/test_a.py::test_a": "passed"}}
