"""pytest plugin of the conformance ledger: checks `conforms` marks and records what the marked tests showed.

`@pytest.mark.conforms("CP-013", …)` ties a test to numbered statements of the references. An unknown id, or one that
is listed as deviating, is an error of collection. After a run the outcomes stand in `build/conformance.json`. Runs of
part of the tests update their own tests there and leave the others as they were.
"""

import time
from collections.abc import Generator, Iterable, Sequence
from typing import Protocol

import pytest

from conformance_ledger import ledger

MARK = "conforms"
_WORKER_KEY = "conformance"


class _WorkerNode(Protocol):
    """What the plugin needs of an xdist worker as its controller sees it."""

    workeroutput: dict[str, object]


class LedgerPlugin:
    """State of one run. In an xdist run the workers know the marks and the controller knows the outcomes."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = time.time()
        self._statements: dict[str, str] | None = None
        self._deviations: dict[str, ledger.Deviation] = {}
        self._marks: dict[str, list[str]] = {}
        self._outcomes: dict[str, str] = {}
        self._narrowed = False

    # Collection

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(self) -> Generator[None, object, object]:
        """Refuse a test whose marks name no statement or a wrong one."""
        result = yield
        for item in result if isinstance(result, list) else [result]:
            if isinstance(item, pytest.Item):
                self._check(item)
        return result

    def _check(self, item: pytest.Item) -> None:
        marks = list(item.iter_markers(MARK))
        if not marks:
            return
        problems = [problem for mark in marks for problem in self._problems(mark)]
        if problems:
            raise pytest.Collector.CollectError("\n".join(f"{item.name}: {problem}" for problem in problems))

    def _problems(self, mark: pytest.Mark) -> Iterable[str]:
        if not mark.args or mark.kwargs:
            yield f'write @pytest.mark.{MARK}("CP-013", …) with one or more statement ids'
        statements = self._known()
        for statement in mark.args:
            if statement not in statements:
                yield ledger.unknown_statement(str(statement), statements)
            elif problem := ledger.contradiction(statement, self._deviations):
                yield problem

    def _known(self) -> dict[str, str]:
        """The statements, read when the first mark is met; a run without marks needs no ledger."""
        if self._statements is None:
            root = self._config.rootpath
            try:
                self._statements = ledger.read_statements(root)
            except ledger.LedgerError as error:
                raise pytest.Collector.CollectError(str(error)) from error
            path = root / ledger.DEVIATIONS_FILE
            if path.is_file():
                # A slip in that file must not stop every marked test: only the ledger's own test and script judge it.
                text = path.read_text(encoding="utf-8")
                self._deviations, _ = ledger.parse_deviations(text, self._statements)
        return self._statements

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that could not be collected makes the run a narrowed one."""
        if report.failed:
            self._narrowed = True

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Leaving out unmarked tests does not narrow the run for the ledger; leaving out marked ones does."""
        if any(item.get_closest_marker(MARK) for item in items):
            self._narrowed = True

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember which tests that will run carry which ids."""
        for item in session.items:
            ids = {statement for mark in item.iter_markers(MARK) for statement in mark.args}
            if ids:
                self._marks[item.nodeid] = sorted(ids)

    # Outcomes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """The worst phase of a test decides; passing counts only in the call itself."""
        expected = hasattr(report, "wasxfail")
        if report.failed:
            self._outcomes[report.nodeid] = "failed"
        elif report.skipped:
            self._outcomes.setdefault(report.nodeid, "xfailed" if expected else "skipped")
        elif report.when == "call":
            self._outcomes.setdefault(report.nodeid, "xpassed" if expected else "passed")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: _WorkerNode) -> None:
        """Take over what an xdist worker knows. A crashed one says nothing; the others collected the same."""
        told = getattr(node, "workeroutput", {}).get(_WORKER_KEY)
        if isinstance(told, dict):
            self._marks.update(told["marks"])
            self._narrowed = self._narrowed or told["narrowed"]

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the results, or as an xdist worker hand over to the controller."""
        output: dict[str, object] | None = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_WORKER_KEY] = {"marks": self._marks, "narrowed": self._narrowed}
        elif not self._config.option.collectonly:
            self._write(exitstatus)

    def _write(self, exitstatus: int) -> None:
        root = self._config.rootpath
        whole = self._is_whole(exitstatus)
        if not (root / ledger.STATEMENTS_FOLDER).is_dir() or not (whole or self._marks):
            return
        before = None if whole else ledger.read_results(root)
        outcomes: dict[str, dict[str, str]] = {}
        if before is not None:
            for statement, tests in before.outcomes.items():
                outcomes[statement] = {node: was for node, was in tests.items() if node not in self._outcomes}
        for node, ids in self._marks.items():
            for statement in ids:
                outcome = self._outcomes.get(node)
                if outcome is not None:
                    outcomes.setdefault(statement, {})[node] = outcome
                else:
                    outcomes.setdefault(statement, {}).setdefault(node, "missing")
        kept = {statement: tests for statement, tests in outcomes.items() if tests}
        began = self._began if whole else before.whole_run_at if before else None
        ledger.write_results(root, ledger.Results(began, kept))

    def _is_whole(self, exitstatus: int) -> bool:
        """True when every marked test of the repository was collected and came to an outcome."""
        return (
            exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
            and not self._narrowed
            and not self._left_out_by_options()
            and all(node in self._outcomes for node in self._marks)
        )

    def _left_out_by_options(self) -> bool:
        """True when the command line names less than all tests."""
        config = self._config
        option = config.option
        if option.ignore or option.ignore_glob or getattr(option, "lf", False):
            return True
        if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            return False
        everything = {config.rootpath, *(config.rootpath / name for name in config.getini("testpaths"))}
        given = {(config.invocation_params.dir / argument).resolve() for argument in config.args}
        return not given & everything


def pytest_configure(config: pytest.Config) -> None:
    """Give each run its own state."""
    config.addinivalue_line("markers", f"{MARK}(*ids): the numbered statements of the references that this test proves")
    config.pluginmanager.register(LedgerPlugin(config), "conformance-ledger")
