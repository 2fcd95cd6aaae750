"""Go's notation, in both directions."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.settings.durations import format_duration, from_nanoseconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("1m30s", 90),
        ("0.5h", 1800),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("-2s", -2),
        ("+2s", 2),
        ("0", 0),
        ("0s", 0),
        (".5s", 0.5),
        ("1.s", 1),
        ("100ms", 0.1),
        ("100us", 0.0001),
        ("100\u00b5s", 0.0001),
        ("100\u03bcs", 0.0001),
        ("1500ns", 0.000001),
        ("1d", 86400),
    ],
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("15", 'time: missing unit in duration "15"'),
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("1w", 'time: unknown unit "w" in duration "1w"'),
        ("1e3s", "time: unknown unit"),
        ("999999999h", "time: invalid duration"),
    ],
)
def test_refusals_have_the_words_of_the_original(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1, "1s"),
        (300, "5m0s"),
        (900, "15m0s"),
        (600, "10m0s"),
        (3600, "1h0m0s"),
        (1.5, "1.5s"),
        (0.5, "500ms"),
    ],
)
def test_format(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(-(2**62) // 1000, 2**62 // 1000))
def test_round_trip(micros: int) -> None:
    value = timedelta(microseconds=micros)
    assert parse_duration(format_duration(value)) == value


def test_nanoseconds_are_bounded() -> None:
    assert from_nanoseconds(15_000_000_000) == timedelta(seconds=15)
    with pytest.raises(ValueError, match="out of range"):
        from_nanoseconds(2**63)
