"""The weakly typed rules."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.settings import decoding
from gatewright.settings.decoding import weak_bool, weak_duration, weak_float, weak_int, weak_list, weak_map, weak_str


@pytest.mark.parametrize("value", [True, 1, -1, 0.5, "1", "t", "T", "TRUE", "true", "True"])
def test_true(value: object) -> None:
    assert weak_bool(value) is True


@pytest.mark.parametrize("value", [False, 0, 0.0, "", "0", "f", "F", "FALSE", "false", "False"])
def test_false(value: object) -> None:
    assert weak_bool(value) is False


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        ("5", 5),
        ("-5", -5),
        ("0x10", 16),
        ("-0x10", -16),
        ("010", 8),
        ("0o10", 8),
        ("0b11", 3),
        ("", 0),
        (True, 1),
        (2.9, 2),
        (-2.9, -2),
        ("0", 0),
        ("00", 0),
    ],
)
def test_integers(value: object, number: int) -> None:
    assert weak_int(value) == number


@pytest.mark.parametrize(
    "value",
    ["abc", "1.5", " 1", "--1", "089", "9" * 5000, float("nan"), float("inf"), [], {}, None],
)
def test_not_integers(value: object) -> None:
    with pytest.raises(ValueError, match="expected an integer"):
        weak_int(value)


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (5, "5"), (5.0, "5"), (5.5, "5.5"), (True, "1"), (False, "0")])
def test_strings(value: object, text: str) -> None:
    assert weak_str(value) == text


def test_lists_and_maps() -> None:
    assert weak_list(["a"]) == ["a"]
    assert weak_list("a,b") == ["a,b"]
    assert weak_list("") == [""]
    assert weak_list({}) == []
    assert weak_map("") == {}
    assert weak_map({"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match="expected a table"):
        weak_map(5)


def test_durations() -> None:
    assert weak_duration("1m") == timedelta(minutes=1)
    assert weak_duration(15_000_000_000) == timedelta(seconds=15)
    assert weak_duration(1e9) == timedelta(seconds=1)
    with pytest.raises(ValueError, match="expected a duration"):
        weak_duration(True)


@pytest.mark.parametrize("name", ["weak_bool", "weak_int", "weak_float", "weak_str", "weak_duration", "weak_map"])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_anything_else_is_a_value_error(name: str, value: object) -> None:
    with contextlib.suppress(ValueError):
        getattr(decoding, name)(value)


def test_float() -> None:
    assert weak_float("0.25") == 0.25
    assert weak_float("") == 0
    with pytest.raises(ValueError, match="expected a number"):
        weak_float("x")
