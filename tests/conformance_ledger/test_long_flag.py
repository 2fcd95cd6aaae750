"""Tests marked `long` run only with `--long`."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(("options", "outcome"), [([], "skipped"), (["--long"], "passed")])
def test_long_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: list[str], outcome: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    conftest = Path(__file__).resolve().parents[1] / "conftest.py"
    pytester.makeconftest(conftest.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = long\n")
    pytester.makepyfile("import pytest\n\n@pytest.mark.long\ndef test_soak():\n    pass\n")
    pytester.runpytest_inprocess(*options).assert_outcomes(**{outcome: 1})
