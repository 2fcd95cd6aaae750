"""Answers as bytes."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gatewright.artifacts.problems import ValidationProblem
from gatewright.management.bodies import answer, denial, encode, failure, text, timestamp


@pytest.mark.conforms("MG-015")
def test_characters_that_matter_to_browsers_are_escaped():
    value = {"b": "<script>&\u2028\u2029", "a": 1}
    encoded = encode(value)
    assert encoded == b'{"a":1,"b":"\\u003cscript\\u003e\\u0026\\u2028\\u2029"}\n'
    assert json.loads(encoded) == value


def test_text_that_is_no_unicode_does_not_break_an_answer():
    assert json.loads(encode({"a\ud800": ["\udfff", 1, None]})) == {"a\ufffd": ["\ufffd", 1, None]}


def test_json_answers_have_a_plain_content_type():
    assert answer({}).headers["content-type"] == "application/json"


def test_envelopes():
    plain = failure(409, "taken")
    assert json.loads(plain.body) == {"message": "taken", "status": "error"}
    listed = failure(400, "invalid", [ValidationProblem("spec.version", "is required")])
    assert json.loads(listed.body)["errors"] == [{"field": "spec.version", "message": "is required"}]
    assert json.loads(denial(403, "forbidden", "no").body) == {"code": "forbidden", "message": "no"}
    assert text("404 page not found", 404).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (datetime(2026, 5, 2, 9, 14, 33, 482910, tzinfo=UTC), "2026-05-02T09:14:33.48291Z"),
        (datetime(2026, 5, 2, 9, 14, 33, tzinfo=UTC), "2026-05-02T09:14:33Z"),
        (datetime(2026, 5, 2, 9, 0, tzinfo=timezone(timedelta(hours=2))), "2026-05-02T07:00:00Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(at, written):
    assert timestamp(at) == written
