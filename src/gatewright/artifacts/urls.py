"""URLs judged as the original judges them: the rules and texts of Go's `net/url.Parse`.

Pure. Only what validation and compilation need: scheme, host, port, path, and whether query or fragment are there.
"""

import re

import msgspec

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_BAD_HOST_CHARACTER = re.compile(r"""[^A-Za-z0-9\-._~!$&'()*+,;=:\[\]<>"%\u0080-\U0010ffff]""")
_PORT = re.compile(r"(?::[0-9]*)?")


class UrlError(ValueError):
    """Not a URL; the text is Go's, such as `parse "http://[": missing ']' in host`."""


class Url(msgspec.Struct, frozen=True):
    """A parsed URL. `scheme` is lower case; `host` is without port, brackets and user; `port` None when absent."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str
    fragment: str
    has_user: bool = False


def parse_url(text: str) -> Url:
    """Parse an absolute or relative reference. Raises UrlError."""
    try:
        return _parse(text)
    except _Problem as problem:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        raise UrlError(f'parse "{quoted}": {problem}') from None


class _Problem(ValueError):
    """What is wrong, without the URL."""


def _parse(text: str) -> Url:
    before_fragment, _, fragment = text.partition("#")
    if _CONTROL.search(text):
        raise _Problem("net/url: invalid control character in URL")
    _check_escapes(fragment)
    scheme, rest = _split_scheme(before_fragment)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:  # opaque, such as mailto:x
            return Url(scheme, "", None, "", query, fragment)
        if ":" in rest.partition("/")[0]:
            raise _Problem("first path segment in URL cannot contain colon")
    host, port, has_user = "", None, False
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        host, port, has_user = _split_authority(authority)
    _check_escapes(rest)
    return Url(scheme, host, port, rest, query, fragment, has_user)


def _check_escapes(text: str) -> None:
    bad = _BAD_ESCAPE.search(text)
    if bad is not None:
        raise _Problem(f'invalid URL escape "{text[bad.start() : bad.start() + 3]}"')


def _split_scheme(text: str) -> tuple[str, str]:
    head, colon, rest = text.partition(":")
    if not colon:
        return "", text
    if not head:
        raise _Problem("missing protocol scheme")
    return (head.lower(), rest) if _SCHEME.fullmatch(head) else ("", text)


def _split_authority(authority: str) -> tuple[str, int | None, bool]:
    user, at, host = authority.rpartition("@")
    if at and not _USERINFO.fullmatch(user):
        raise _Problem("net/url: invalid userinfo")
    if at:
        _check_escapes(user)
    if host.startswith("["):
        inside, bracket, tail = host[1:].rpartition("]")
        if not bracket:
            raise _Problem("missing ']' in host")
        name, port_text = inside, tail
    else:
        name, colon, digits = host.rpartition(":")
        name, port_text = (name, colon + digits) if colon else (host, "")
    if not _PORT.fullmatch(port_text):
        raise _Problem(f'invalid port "{port_text}" after host')
    _check_escapes(name)
    bad = _BAD_HOST_CHARACTER.search(name)
    if bad is not None:
        raise _Problem(f'invalid character "{bad[0]}" in host name')
    digits = port_text[1:].lstrip("0")
    port = int(digits or "0") if len(digits) <= 5 else 2**16  # out of range anyway
    return name, (port if len(port_text) > 1 else None), bool(at)
