"""URLs as Go's net/url judges them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.artifacts.urls import Url, UrlError, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a", ("http", "a", None, "")),
        ("HTTP://A:80/p/q?x#f", ("http", "A", 80, "/p/q")),
        ("https://user:pw@h:8443/", ("https", "h", 8443, "/")),
        ("http://[::1]:80/x", ("http", "::1", 80, "/x")),
        ("http://a:", ("http", "a", None, "")),
        ("http://:80", ("http", "", 80, "")),
        ("http:///x", ("http", "", None, "/x")),
        ("http://a:0080", ("http", "a", 80, "")),
        ("http://a:999999", ("http", "a", 65536, "")),
        ("mailto:x", ("mailto", "", None, "")),
        ("//host/x", ("", "host", None, "/x")),
        ("a/b", ("", "", None, "a/b")),
        ("", ("", "", None, "")),
        ("http://bücher.example/ü", ("http", "bücher.example", None, "/ü")),
        ("http://a/%41", ("http", "a", None, "/%41")),
    ],
)
def test_parts(text: str, expected: tuple[str, str, int | None, str]) -> None:
    url = parse_url(text)
    assert (url.scheme, url.host, url.port, url.path) == expected


def test_query_fragment_and_user() -> None:
    assert parse_url("http://u@h/?q#f") == Url("http", "h", None, "/", "q", "f", has_user=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://a b", 'invalid character " " in host name'),
        ("http://[::1", "missing ']' in host"),
        ("http://[::1]x", 'invalid port "x" after host'),
        ("http://a:b", 'invalid port ":b" after host'),
        ("http://a:-1", 'invalid port ":-1" after host'),
        ("http://a/%zz", 'invalid URL escape "%zz"'),
        ("http://a/%4", 'invalid URL escape "%4"'),
        ("http://a/\x7f", "net/url: invalid control character in URL"),
        ("http://a\n", "net/url: invalid control character in URL"),
        (":x", "missing protocol scheme"),
        ("1http://a", "first path segment in URL cannot contain colon"),
        ("a b://c", "first path segment in URL cannot contain colon"),
        ("http://u{@h", "net/url: invalid userinfo"),
    ],
)
def test_problems(text: str, problem: str) -> None:
    with pytest.raises(UrlError) as refused:
        parse_url(text)
    assert str(refused.value) == f'parse "{text}": {problem}'


@given(st.text('htps:/[]@?#%0a. \\"é\x00', max_size=30) | st.text(max_size=20))
def test_any_text_parses_or_is_refused(text: str) -> None:
    for candidate in (text, "http://" + text):
        with contextlib.suppress(UrlError):
            parse_url(candidate)
