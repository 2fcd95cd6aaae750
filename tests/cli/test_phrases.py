"""Times and numbers in words."""

from datetime import UTC, datetime

import pytest

from gatewright.cli.phrases import ago, counts, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (61, "1 m 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 m"),
        (90_000, "1 d 1 h"),
        (86_401, "1 d"),
        (-5, "0 s"),
        (None, ""),
        ("x", ""),
    ],
)
def test_duration(seconds: object, words: str) -> None:
    assert duration(seconds) == words


def test_ago() -> None:
    now = datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)
    assert ago("2026-01-01T12:00:00Z", now) == "5 s ago"
    assert ago("2026-01-01T12:00:00.123456", now) == "4 s ago"
    assert ago("yesterday", now) == "yesterday"
    assert ago(None) == ""


def test_counts() -> None:
    assert counts({"deployed": 2, "deleted": 0, "full": True, "at": "x"}) == "2 deployed"
    assert counts({"counts": {"deployed": 1, "deleted": 3}}) == "1 deployed, 3 deleted"
    grouped = {"deployments.unchanged": 1, "keys.stored": 2, "deployments.deleted": 3}
    assert counts(grouped) == "deployments 1 unchanged, 3 deleted; keys 2 stored"
    assert counts(None) == ""
