"""Forms of output, and that a terminal obeys nothing that comes from elsewhere."""

import pytest

from gatewright.cli import output
from gatewright.cli.exits import Exit, Failure
from gatewright.cli.output import Format


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    assert output.safe("a\x1b[2Jb\rc\x9bd\u202ee") == "a\ufffd[2Jb\ufffdc\ufffdd\ufffde"
    assert output.safe("two\nlines\tand a tab") == "two\nlines\tand a tab"


def test_tables_fit_80_columns_and_lose_nothing() -> None:
    name = "x" * 200
    lines = output.grid(("Name", "State"), [(name, "deployed"), ("short", None)])
    assert max(len(line) for line in lines) <= 80
    assert "".join(line.split()[0] for line in lines if line.startswith("x")) == name
    assert lines[0].split() == ["NAME", "STATE"]
    assert lines[-1].split() == ["short", "-"]


def test_a_cell_is_text_and_never_markup() -> None:
    assert "[red]x[/red]" in "\n".join(output.grid(("Name",), [("[red]x[/red]",)]))


def test_a_table_without_rows_says_so() -> None:
    assert output.grid(("Name",), [], empty="no APIs") == ["no APIs"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Format.JSON, '{\n  "name": "ü"\n}\n'),
        (Format.YAML, "name: ü\n"),
        (Format.TABLE, "drawn\n"),
    ],
)
def test_forms(form: Format, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.show({"name": "ü"}, form, lambda: ["drawn"])
    assert capsys.readouterr().out == expected


def test_facts_are_aligned_and_empty_ones_left_out() -> None:
    assert output.facts((("A", 1), ("Long name", 2), ("None", None), ("Empty", ""))) == [
        "A:          1",
        "Long name:  2",
    ]


def test_a_failure_says_what_where_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(Failure("it broke", code=Exit.FAILED, where=["here", ""], remedy="mend it"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: it broke\n  here\n  What to do: mend it\n"
