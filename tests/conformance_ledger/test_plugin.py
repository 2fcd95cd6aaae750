"""The plugin in small projects of its own: what it refuses and what it records."""

import shutil
from pathlib import Path

import pytest

from conformance_ledger import ledger

DEVIATIONS = """## Numbered statements

| Statement | What Gatewright does instead | Reason |
|---|---|---|
| CP-003 | other | better |
| CP-004 (tested) | other in part | better |
"""

CONFTEST = f"""
import sys, types
package = types.ModuleType("conformance_ledger")
package.__path__ = [{str(Path(ledger.__file__).parent)!r}]
sys.modules.setdefault("conformance_ledger", package)
pytest_plugins = ["conformance_ledger.plugin"]
"""

MARKED = """
import pytest

@pytest.mark.conforms("CP-001")
@pytest.mark.parametrize("n", [1, 2])
def test_cases(n):
    pass

@pytest.mark.conforms("CP-001", "CP-002")
def test_two():
    pass

def test_unmarked():
    pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with five statements, two of them deviating; without other plugins, which cost a second a run."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\ntestpaths = tests\naddopts = --import-mode=importlib\n")
    for folder in ("conformance", "docs", "tests"):
        pytester.mkdir(folder)
    texts = "".join(f"CP-{number:03d}\ttext {number}\n" for number in range(1, 6))
    (pytester.path / "conformance" / "CP.tsv").write_text(texts, encoding="utf-8")
    (pytester.path / "docs" / "deviations.md").write_text(DEVIATIONS, encoding="utf-8")
    (pytester.path / "tests" / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    return pytester


def write(project: pytest.Pytester, text: str, name: str = "test_it.py") -> None:
    (project.path / "tests" / name).write_text(text, encoding="utf-8")


def outcomes(project: pytest.Pytester) -> dict[str, dict[str, str]]:
    results = ledger.read_results(project.path)
    assert results is not None
    return {
        statement: {node.rpartition("::")[2]: outcome for node, outcome in tests.items()}
        for statement, tests in results.outcomes.items()
    }


def whole_run_at(project: pytest.Pytester) -> float | None:
    results = ledger.read_results(project.path)
    assert results is not None
    return results.whole_run_at


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ('conforms("CP-009")', "test_it: unknown statement 'CP-009'; the nearest known one is CP-005"),
        ('conforms("CP-001", "CQ-002")', "test_it: unknown statement 'CQ-002'; the nearest known one is CP-002"),
        ("conforms()", 'test_it: write @pytest.mark.conforms("CP-013", …)'),
        ("conforms(7)", "test_it: unknown statement '7'"),
        ('conforms("CP-003")', "test_it: CP-003 is listed in docs/deviations.md as deviating"),
    ],
)
def test_a_wrong_mark_fails_collection(project: pytest.Pytester, mark: str, message: str) -> None:
    write(project, f"import pytest\n\n@pytest.mark.{mark}\ndef test_it():\n    pass\n")
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*{message.replace('[', '[[]')}*"])


def test_marks_of_modules_classes_and_cases_are_checked(project: pytest.Pytester) -> None:
    write(
        project, 'import pytest\npytestmark = pytest.mark.conforms("CP-901")\n\ndef test_it():\n    pass\n', "test_a.py"
    )
    write(
        project,
        'import pytest\n\n@pytest.mark.conforms("CP-902")\nclass TestIt:\n    def test_it(self):\n        pass\n',
        "test_b.py",
    )
    write(
        project,
        "import pytest\n\n"
        '@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.conforms("CP-903"))])\n'
        "def test_it(n):\n    pass\n",
        "test_c.py",
    )
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*'CP-901'*", "*'CP-902'*", "*'CP-903'*"])


def test_a_row_that_says_so_allows_marked_tests(project: pytest.Pytester) -> None:
    write(project, 'import pytest\n\n@pytest.mark.conforms("CP-004")\ndef test_it():\n    pass\n')
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert outcomes(project) == {"CP-004": {"test_it": "passed"}}


def test_every_outcome_is_recorded(project: pytest.Pytester) -> None:
    write(
        project,
        """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError

@pytest.fixture
def broken_end():
    yield
    raise RuntimeError

@pytest.mark.conforms("CP-001")
class TestAll:
    def test_passes(self): pass
    def test_fails(self): assert False
    def test_skips(self): pytest.skip("no")
    @pytest.mark.skip
    def test_is_skipped(self): pass
    @pytest.mark.xfail
    def test_expected(self): assert False
    @pytest.mark.xfail(strict=False)
    def test_better_than_expected(self): pass
    def test_setup(self, broken): pass
    def test_teardown(self, broken_end): pass
""",
    )
    project.runpytest_inprocess()
    assert outcomes(project) == {
        "CP-001": {
            "test_passes": "passed",
            "test_fails": "failed",
            "test_skips": "skipped",
            "test_is_skipped": "skipped",
            "test_expected": "xfailed",
            "test_better_than_expected": "xpassed",
            "test_setup": "failed",
            "test_teardown": "failed",
        }
    }
    assert whole_run_at(project) is not None


def test_a_run_of_part_of_the_tests_keeps_the_other_results(project: pytest.Pytester) -> None:
    write(project, MARKED)
    write(project, MARKED.replace("CP-002", "CP-005"), "test_other.py")
    project.runpytest_inprocess()
    whole = whole_run_at(project)
    assert whole is not None
    write(project, MARKED.replace("    pass", "    assert False"))
    project.runpytest_inprocess("tests/test_it.py", "-k", "two")
    assert whole_run_at(project) == whole
    after = outcomes(project)
    assert after["CP-002"] == {"test_two": "failed"}
    assert after["CP-005"] == {"test_two": "passed"}
    results = ledger.read_results(project.path)
    assert results is not None
    assert sorted(results.outcomes["CP-001"].values()) == ["failed"] + ["passed"] * 5


def test_a_mark_taken_away_disappears_with_the_next_run_of_its_test(project: pytest.Pytester) -> None:
    write(project, MARKED)
    project.runpytest_inprocess()
    write(project, MARKED.replace('"CP-001", "CP-002"', '"CP-001"'))
    project.runpytest_inprocess("tests/test_it.py")
    assert "CP-002" not in outcomes(project)


@pytest.mark.parametrize(
    ("options", "whole"),
    [
        ([], True),
        (["-m", "conforms"], True),
        (["tests"], True),
        (["."], True),
        (["-k", "two or unmarked"], False),
        (["-k", "not unmarked"], True),
        (["tests/test_it.py"], False),
        (["--ignore", "tests/elsewhere"], False),
        (["--deselect", "tests/test_it.py::test_two"], False),
    ],
)
def test_what_counts_as_a_whole_run(project: pytest.Pytester, options: list[str], whole: bool) -> None:
    write(project, MARKED)
    project.runpytest_inprocess(*options)
    assert (whole_run_at(project) is not None) is whole


def test_a_file_that_cannot_be_collected_makes_the_run_a_part(project: pytest.Pytester) -> None:
    write(project, MARKED)
    write(project, "import nowhere\n", "test_broken.py")
    project.runpytest_inprocess("--continue-on-collection-errors")
    assert whole_run_at(project) is None


def test_a_run_that_stopped_early_is_no_whole_one(project: pytest.Pytester) -> None:
    write(project, MARKED.replace("    pass", "    assert False", 1))
    project.runpytest_inprocess("-x")
    assert whole_run_at(project) is None
    assert outcomes(project)["CP-002"] == {"test_two": "missing"}


def test_collecting_only_records_nothing(project: pytest.Pytester) -> None:
    write(project, MARKED)
    project.runpytest_inprocess("--collect-only")
    assert ledger.read_results(project.path) is None


def test_a_run_without_marks_needs_no_ledger(project: pytest.Pytester) -> None:
    shutil.rmtree(project.path / "conformance")
    write(project, "def test_it():\n    pass\n")
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert not (project.path / "build").exists()


def test_results_of_xdist_workers_are_merged(project: pytest.Pytester) -> None:
    write(project, MARKED)
    write(
        project,
        'import os, pytest\n\n@pytest.mark.conforms("CP-005")\ndef test_crash():\n    os._exit(3)\n',
        "test_z.py",
    )
    project.runpytest_subprocess("-p", "xdist", "-n", "2", timeout=60)
    assert outcomes(project) == {
        "CP-001": {"test_cases[1]": "passed", "test_cases[2]": "passed", "test_two": "passed"},
        "CP-002": {"test_two": "passed"},
        "CP-005": {"test_crash": "failed"},
    }
    assert whole_run_at(project) is not None
