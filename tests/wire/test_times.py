"""RFC 3339 times that keep nanoseconds and offset."""

import pytest

from gatewright.wire.times import ZERO_TIME, Timestamp


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-08-01T10:15:30Z", "2026-08-01T10:15:30Z"),
        ("2026-08-01T10:15:30.123Z", "2026-08-01T10:15:30.123Z"),
        ("2026-08-01T10:15:30.120000000Z", "2026-08-01T10:15:30.12Z"),
        ("2026-08-01T10:15:30.123456789+05:30", "2026-08-01T10:15:30.123456789+05:30"),
        ("2026-08-01T10:15:30.1234567899-08:00", "2026-08-01T10:15:30.123456789-08:00"),
        ("2026-08-01T10:15:30+00:00", "2026-08-01T10:15:30Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_text_is_repeated_with_precision_and_offset(text: str, written: str) -> None:
    assert Timestamp.parse(text).text() == written


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-08-01", "2026-08-01 10:15:30Z", "2026-08-01T10:15:30", "2026-13-01T10:15:30Z",
     "2026-02-30T10:15:30Z", "2026-08-01T10:15:60Z", "2026-08-01T10:15:30+25:00", "2026-08-01T10:15:30.Z",
     "٢٠٢٦-08-01T10:15:30Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        Timestamp.parse(text)


def test_milliseconds_are_cut_and_not_rounded() -> None:
    time = Timestamp.parse("2026-08-01T10:15:30.123999999+02:00").truncated_to_ms()
    assert time.text() == "2026-08-01T10:15:30.123+02:00"
    assert time.unix_ms == Timestamp.parse("2026-08-01T08:15:30.123Z").unix_ms


def test_equality_is_of_the_instant() -> None:
    here, there = Timestamp.parse("2026-08-01T10:00:00Z"), Timestamp.parse("2026-08-01T12:00:00+02:00")
    assert here == there
    assert hash(here) == hash(there)
    assert here < Timestamp.parse("2026-08-01T10:00:00.000000001Z")
    assert here != "2026-08-01T10:00:00Z"


def test_the_zero_time_stands_for_none() -> None:
    assert Timestamp.parse("0001-01-01T00:00:00Z").is_zero
    assert ZERO_TIME.text() == "0001-01-01T00:00:00Z"
    assert Timestamp.parse("0001-01-01T00:00:00+10:00").text() == "0001-01-01T00:00:00+10:00"


def test_envelopes_carry_whole_seconds() -> None:
    assert Timestamp.parse("2026-08-01T10:15:30.9Z").seconds_text() == "2026-08-01T10:15:30Z"
