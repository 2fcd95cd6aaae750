"""The generated page of all keys."""

from pathlib import Path

import pytest

from gatewright.settings.reference import main, render
from gatewright.settings.schema import keys, section_texts

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_in_the_repository_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run python -m gatewright.settings.reference"


def test_every_key_and_every_table_says_what_it_is_for() -> None:
    for info in keys():
        assert info.about.endswith("."), info.path
    assert all(section_texts().values())


def test_the_page_names_every_key_and_its_variable() -> None:
    page = render()
    for info in keys():
        assert f"| `{info.path.rpartition('.')[2]}` |" in page
        if info.from_environment:
            assert f"`{info.variable}`" in page


def test_check_tells_an_old_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "docs" / "page.md"
    assert main(["--check", str(target)]) == 1
    assert "out of date" in capsys.readouterr().err
    assert main([str(target)]) == 0
    assert main(["--check", str(target)]) == 0
