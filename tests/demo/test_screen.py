"""How steps are printed."""

import io

import pytest

from gatewright.demo.screen import Screen


def test_a_step_is_one_line_with_its_duration_and_the_commands_below() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    with screen.step("Something holds") as step:
        step.result = "200"
        step.lines = ["curl $CALL/x"]
    head, command = stream.getvalue().rstrip("\n").split("\n")
    assert head.split()[1:] == ["1", "Something", "holds", "200", "0", "ms"]
    assert len(head) <= 80
    assert command == "        curl $CALL/x"


def test_a_step_that_fails_is_marked() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    with pytest.raises(RuntimeError), screen.step("Something holds"):
        raise RuntimeError
    assert stream.getvalue().startswith("FAILED  1  Something holds")
