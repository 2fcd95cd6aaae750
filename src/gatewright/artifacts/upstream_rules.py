"""The rules of upstream slots and upstream definitions, with the original's texts.

Pure. Source: management API reference, sections 6.9 and 8.2.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatewright.artifacts.durations import DurationOverflow, duration_ms
from gatewright.artifacts.problems import ValidationProblem
from gatewright.artifacts.urls import Url, UrlError, parse_url

_NAME = re.compile(r"[a-zA-Z0-9\-_]+")
_BASE_PATH = re.compile(r"/[a-zA-Z0-9\-._~!$&'()*+,;=:@%/]*[^/]", re.DOTALL)
_WEB_SCHEMES = ("http", "https")


def slot_problems(
    raw: Mapping[str, Any], field: str, definitions: Sequence[Mapping[str, Any]]
) -> Iterator[ValidationProblem]:
    """Problems of a slot such as `spec.upstream.main`."""
    url, ref = raw.get("url"), raw.get("ref")
    if url is not None and ref is not None:
        yield ValidationProblem(field, "Specify exactly one of 'url' or 'ref'")
    elif url is not None:
        yield from _slot_url_problems(url.strip(), f"{field}.url")
    elif ref is not None:
        yield from _ref_problems(ref.strip(), f"{field}.ref", definitions)
    else:
        yield ValidationProblem(field, "Must specify either 'url' or 'ref'")


def _slot_url_problems(text: str, field: str) -> Iterator[ValidationProblem]:
    if not text:
        yield ValidationProblem(field, "Upstream URL is required")
        return
    try:
        url = parse_url(text)
    except UrlError as problem:
        yield ValidationProblem(field, f"Invalid URL format: {problem}")
        return
    if url.scheme not in _WEB_SCHEMES:
        yield ValidationProblem(field, "Upstream URL must use http or https scheme")
    if not url.host and url.port is None:
        yield ValidationProblem(field, "Upstream URL must include a host")


def _ref_problems(name: str, field: str, definitions: Sequence[Mapping[str, Any]]) -> Iterator[ValidationProblem]:
    if not name:
        yield ValidationProblem(field, "Upstream reference is required")
    elif not definitions:
        yield ValidationProblem(
            field, f"Referenced upstream definition '{name}' not found: no upstreamDefinitions provided"
        )
    elif all(definition.get("name") != name for definition in definitions):
        yield ValidationProblem(field, f"Referenced upstream definition '{name}' not found in upstreamDefinitions")


def definition_problems(
    definitions: Sequence[Mapping[str, Any]], field: str = "spec.upstreamDefinitions"
) -> Iterator[ValidationProblem]:
    """Problems of a list of upstream definitions."""
    seen: set[str] = set()
    for index, definition in enumerate(definitions):
        where = f"{field}[{index}]"
        name = definition.get("name") or ""
        yield from _name_problems(name, f"{where}.name")
        if name in seen:
            yield ValidationProblem(f"{where}.name", f"Duplicate upstream definition name '{name}'")
        elif name:
            seen.add(name)
            yield from _content_problems(definition, where)


def _name_problems(name: str, field: str) -> Iterator[ValidationProblem]:
    if not name:
        yield ValidationProblem(field, "Upstream definition name is required")
        return
    if len(name.encode("utf-8", "replace")) > 100:
        yield ValidationProblem(field, "Upstream definition name must be 1-100 characters")
    if not _NAME.fullmatch(name):
        yield ValidationProblem(
            field,
            r"Upstream definition name must match ^[a-zA-Z0-9\-_]+$ (letters, numbers, hyphens, underscores)",
        )


def _content_problems(definition: Mapping[str, Any], where: str) -> Iterator[ValidationProblem]:
    base_path = definition.get("basePath")
    if base_path and not _BASE_PATH.fullmatch(base_path):
        yield ValidationProblem(
            f"{where}.basePath", "Invalid basePath (must start with '/' and must not end with '/'; omit for root)"
        )
    targets = definition.get("upstreams")
    if not targets:
        yield ValidationProblem(f"{where}.upstreams", "At least one upstream target is required")
    for index, target in enumerate(targets or ()):
        yield from _target_problems(target, f"{where}.upstreams[{index}]")
    connect = ((definition.get("timeout") or {}).get("connect") or "").strip()
    if connect:
        yield from _connect_problems(connect, f"{where}.timeout.connect")


def _target_problems(target: Mapping[str, Any], where: str) -> Iterator[ValidationProblem]:
    text = (target.get("url") or "").strip()
    if not text:
        yield ValidationProblem(f"{where}.url", "URL is required")
        return
    try:
        url = parse_url(text)
    except UrlError as problem:
        yield ValidationProblem(f"{where}.url", f"Invalid URL format: {problem}")
    else:
        for message in _target_url_messages(url):
            yield ValidationProblem(f"{where}.url", message)
    weight = target.get("weight")
    if weight is not None and not 0 <= weight <= 100:
        yield ValidationProblem(f"{where}.weight", "Weight must be between 0 and 100")


def _target_url_messages(url: Url) -> Iterator[str]:
    if url.scheme not in _WEB_SCHEMES:
        yield "URL must use http or https scheme"
    if not url.host and url.port is None:
        yield "URL must include a host"
    if url.path not in {"", "/"}:
        yield "URL must not include a path; set the base path in upstreamDefinitions[].basePath instead"
    if url.query:
        yield "URL must not include a query string; only host[:port] is used"
    if url.fragment:
        yield "URL must not include a fragment; only host[:port] is used"


def _connect_problems(text: str, field: str) -> Iterator[ValidationProblem]:
    try:
        milliseconds = duration_ms(text)
    except DurationOverflow as overflow:
        yield ValidationProblem(field, f"Invalid timeout format: {overflow}")
        return
    if milliseconds is None:
        yield ValidationProblem(
            field, "Invalid timeout format (expected a single-unit duration like '30s', '1m', '500ms')"
        )
    elif milliseconds <= 0:
        yield ValidationProblem(field, "Connect timeout must be positive")
