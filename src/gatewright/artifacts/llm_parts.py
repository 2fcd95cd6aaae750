"""What LLM providers, LLM proxies and their templates have in common: shapes and rules.

Pure. Source: management API reference, sections 6.1, 6.9, 10 and 11.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gatewright.artifacts import shapes
from gatewright.artifacts.metadata import label_problems
from gatewright.artifacts.plain import Plain
from gatewright.artifacts.policies import PolicyCatalogue, PolicyNotFound
from gatewright.artifacts.policy_rules import policy_problems
from gatewright.artifacts.problems import ValidationProblem
from gatewright.artifacts.restapi_rules import is_reserved, resolve_version
from gatewright.artifacts.urls import UrlError, parse_url

HANDLE_RULE: Final = (
    "must consist of lowercase alphanumeric characters, hyphens, or dots,"
    " and must start and end with an alphanumeric character"
)
RESERVED: Final = "path conflicts with the reserved gateway health-check namespace (/_gateway-health)"
AUTH_TYPES: Final = ("api-key", "other", "none")

_HANDLE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VERSION = re.compile(r"v?[0-9]+(\.[0-9]+)?(\.[0-9]+)?")
_LONGEST_HANDLE = 253
_LONGEST_NAME = 253
_LONGEST_VERSION = 128  # characters; the original has no limit, but each $version in a context becomes this long
_LONGEST_CONTEXT = 2_000  # characters; the original has no limit

AUTH = shapes.Record({"type": shapes.TEXT, "header": shapes.TEXT, "value": shapes.TEXT})
METHODS = shapes.TEXTS
_PATHS = shapes.ListOf(shapes.Record({"path": shapes.TEXT, "methods": METHODS, "params": shapes.FREE_OBJECT}))
POLICY_MEMBERS: Final[Mapping[str, shapes.Shape]] = {
    "globalPolicies": shapes.ListOf(shapes.POLICY),
    "operationPolicies": shapes.ListOf(
        shapes.Record({"name": shapes.TEXT, "version": shapes.TEXT, "executionCondition": shapes.TEXT, "paths": _PATHS})
    ),
    "policies": shapes.ListOf(shapes.Record({"name": shapes.TEXT, "version": shapes.TEXT, "paths": _PATHS})),
}


class UpstreamWithAuth(shapes.Record):
    """An upstream object with `auth`. Unknown members stay, but none that is a misspelt `auth`: it would be shown."""

    def __init__(self) -> None:
        super().__init__(
            {"url": shapes.TEXT, "ref": shapes.TEXT, "hostRewrite": shapes.TEXT, "auth": AUTH}, keep_unknown=True
        )

    def read(self, value: Plain) -> dict[str, Any]:
        """See Shape."""
        return {name: item for name, item in super().read(value).items() if name == "auth" or name.lower() != "auth"}


UPSTREAM = UpstreamWithAuth()


def metadata_problems(document: Mapping[str, Any], *, labels: bool = True) -> Iterator[ValidationProblem]:
    """The rules of handles and labels; of a bad name only the first is told."""
    metadata = document.get("metadata") or {}
    yield from handle_problems(metadata.get("name", ""), "metadata.name")
    if labels:
        yield from label_problems(metadata.get("labels") or {})


def handle_problems(name: str, field: str) -> Iterator[ValidationProblem]:
    """The rule of handles of these kinds."""
    if not name:
        yield ValidationProblem(field, f"{field} is required")
    elif len(name) > _LONGEST_HANDLE:
        yield ValidationProblem(field, f"{field} must not exceed {_LONGEST_HANDLE} characters")
    elif not _HANDLE.fullmatch(name):
        yield ValidationProblem(field, f"{field} {HANDLE_RULE}")


def is_handle(name: str) -> bool:
    """Whether `name` can be the handle of a provider."""
    return len(name) <= _LONGEST_HANDLE and _HANDLE.fullmatch(name) is not None


def display_name_problems(spec: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    """Required, and not longer than its column."""
    name = spec.get("displayName", "")
    if not name:
        yield ValidationProblem("spec.displayName", "spec.displayName is required")
    elif len(name) > _LONGEST_NAME:
        yield ValidationProblem("spec.displayName", f"spec.displayName must not exceed {_LONGEST_NAME} characters")


def version_problems(spec: Mapping[str, Any], message: str) -> Iterator[ValidationProblem]:
    """Optional, but well formed."""
    version = spec.get("version", "")
    if version and (len(version) > _LONGEST_VERSION or not _VERSION.fullmatch(version)):
        yield ValidationProblem("spec.version", message)


def context_problems(spec: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    """Only the gateway's own namespace is forbidden, and what no URL can hold."""
    context = spec.get("context", "")
    if len(context) > _LONGEST_CONTEXT:
        yield ValidationProblem("spec.context", f"Context must not exceed {_LONGEST_CONTEXT} characters")
    elif context and is_reserved(resolve_version(context, spec.get("version", "")[:_LONGEST_VERSION])):
        yield ValidationProblem("spec.context", RESERVED)


def upstream_problems(
    spec: Mapping[str, Any], definitions: Sequence[Mapping[str, Any]], malformed: str
) -> Iterator[ValidationProblem]:
    """Exactly one of `url` and `ref`; a blank one is none. `malformed` begins the text about an unreadable URL."""
    field = "spec.upstream"
    upstream = spec.get("upstream") or {}
    url, ref = upstream.get("url", "").strip(), upstream.get("ref", "").strip()
    if url and ref:
        yield ValidationProblem(field, "Specify exactly one of 'url' or 'ref'")
    elif url:
        message = _url_message(url, malformed)
        if message:
            yield ValidationProblem(f"{field}.url", message)
    elif not ref:
        yield ValidationProblem(field, "Must specify either 'url' or 'ref'")
    elif all(definition.get("name") != ref for definition in definitions):
        yield ValidationProblem(
            f"{field}.ref", f"Referenced upstream definition '{ref}' not found in upstreamDefinitions"
        )


def _url_message(text: str, malformed: str) -> str | None:
    try:
        url = parse_url(text)
    except UrlError as problem:
        return f"{malformed}: {problem}"
    if url.scheme not in {"http", "https"}:
        return "Upstream URL must use http or https scheme"
    return None if url.host or url.port is not None else "Upstream URL must include a host"


def auth_problems(auth: Mapping[str, Any] | None, field: str) -> Iterator[ValidationProblem]:
    """An `auth` block of a provider or a proxy, after inheritance."""
    if auth is None:
        return
    kind = auth.get("type", "")
    if not kind:
        yield ValidationProblem(f"{field}.type", "Auth type is required")
    elif kind not in AUTH_TYPES:
        yield ValidationProblem(f"{field}.type", "Auth type must be one of 'api-key', 'other', 'none'")
    if kind == "api-key":
        if not auth.get("header", "").strip():
            yield ValidationProblem(f"{field}.header", "Auth header is required when api-key auth type is set")
        if not auth.get("value", "").strip():
            yield ValidationProblem(f"{field}.value", "Auth value is required when api-key auth type is set")


def exclusivity_problems(spec: Mapping[str, Any]) -> Iterator[ValidationProblem]:
    """The deprecated list of policies stands alone or not at all."""
    if spec.get("policies") and (spec.get("globalPolicies") or spec.get("operationPolicies")):
        yield ValidationProblem(
            "spec.policies",
            "The deprecated 'policies' field cannot be used together with 'globalPolicies' or 'operationPolicies'."
            " Use either the legacy 'policies' list or the new 'globalPolicies'/'operationPolicies' lists, not both.",
        )


def llm_policy_problems(document: Mapping[str, Any], catalogue: PolicyCatalogue) -> Iterator[ValidationProblem]:
    """Global policies with their parameters; of the others only name and version are checked (section 6.9)."""
    spec = document.get("spec") or {}
    yield from policy_problems(spec.get("globalPolicies"), "spec.globalPolicies", catalogue)
    for member in ("operationPolicies", "policies"):
        for index, reference in enumerate(spec.get(member) or ()):
            found = catalogue.resolve(reference.get("name", ""), reference.get("version", ""))
            if isinstance(found, PolicyNotFound):
                yield ValidationProblem(f"spec.{member}[{index}].{found.member}", found.message)
