"""Durations with one unit."""

import pytest

from gatewright.artifacts.durations import DurationOverflow, duration_ms


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0s", 0),
        ("0.0h", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("1.5m", 90_000),
        ("2h", 7_200_000),
        ("0.5ms", 1),
        ("1.0001s", 1001),
        ("2562047h", 2562047 * 3_600_000),
        ("30", None),
        ("", None),
        ("s", None),
        ("-1s", None),
        ("+1s", None),
        ("1h30m", None),
        (".5s", None),
        ("1.s", None),
        ("1 s", None),
        ("1s ", None),
        ("1d", None),
        ("1us", None),
        ("\u0661s", None),
    ],
)
def test_form_and_value(text: str, milliseconds: int | None) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["2562048h", "9" * 60 + "s", "9" * 100_000 + "s"])
def test_overflow(text: str) -> None:
    with pytest.raises(DurationOverflow):
        duration_ms(text)
