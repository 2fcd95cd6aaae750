"""Envoy's lines in our log, its access log in bulk, and the problems that they tell of."""

import asyncio
import os
from io import BytesIO

import pytest
from structlog.testing import capture_logs

from gatewright.router.output import LogLines, pass_through, problem_in


def test_lines_keep_their_level_and_get_the_prefix() -> None:
    lines = LogLines()
    with capture_logs() as logs:
        lines.tell("[warning][config] something")
        lines.tell("that goes on here")
        lines.tell("[critical][main] the end")
        lines.tell("")

    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "[rtr] something"),
        ("warning", "[rtr] that goes on here"),
        ("error", "[rtr] the end"),
    ]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("error adding listener 'x': cannot bind '0.0.0.0:80': Address already in use", "PORT_IN_USE", "0.0.0.0:80"),
        ("cannot bind '0.0.0.0:80': Permission denied", "PORT_NOT_ALLOWED", "1024"),
        ("cannot bind '9.9.9.9:80': Cannot assign requested address", "ADDRESS_NOT_HERE", "9.9.9.9"),
        ("/envoy: version `GLIBC_2.99' not found", "ENVOY_BINARY_UNUSABLE", "GLIBC_2.99"),
        ("cannot execute /x: Exec format error", "ENVOY_BINARY_UNUSABLE", "Exec format"),
        ("Unable to parse JSON as proto (INVALID_ARGUMENT)", "BOOTSTRAP_REFUSED", "INVALID_ARGUMENT"),
    ],
)
def test_known_problems_get_a_code_and_what_to_do(text: str, code: str, words: str) -> None:
    problem = problem_in(text)

    assert problem is not None
    assert problem.code == code
    assert words in problem.message


def test_an_ordinary_line_is_no_problem() -> None:
    assert problem_in("[info][main] starting main dispatch loop") is None


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    stream = asyncio.StreamReader(limit=100)
    stream.feed_data(b"x" * 1000 + b"\n[info][main] after\n")
    stream.feed_eof()
    lines = LogLines()

    with capture_logs() as logs:
        await lines.follow(stream)

    assert logs[0]["event"] == "[rtr] (a line of Envoy was too long)"
    assert logs[-1]["event"] == "[rtr] after"


def test_access_lines_pass_in_bulk_with_the_prefix() -> None:
    reading, writing = os.pipe()
    sink = BytesIO()
    thread = pass_through(reading, sink)
    os.write(writing, b"one\ntwo\nthr")
    os.write(writing, b"ee\nlast")
    os.close(writing)
    thread.join(5)

    assert sink.getvalue() == b"[rtr] one\n[rtr] two\n[rtr] three\n[rtr] last\n"


def test_a_reader_that_has_gone_does_not_stop_envoy() -> None:
    reading, writing = os.pipe()
    gone_reading, gone_writing = os.pipe()
    os.close(gone_reading)
    with os.fdopen(gone_writing, "wb", buffering=0) as sink:
        thread = pass_through(reading, sink)
        for _ in range(10):
            os.write(writing, b"line\n")
        os.close(writing)
        thread.join(5)

    assert not thread.is_alive()
