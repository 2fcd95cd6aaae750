"""Every rule of a RestApi with its field path and its text."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from gatewright.artifacts.restapi_rules import is_reserved, resolve_version

Problems = Callable[[Any], list[tuple[str, str]]]
ABSENT = object()

NAME_TEXT = (
    "API display name must be URL-friendly (only letters, numbers, spaces, hyphens, underscores, and dots allowed)"
)
VERSION_TEXT = "API version must follow semantic versioning pattern (e.g., v1.0, v2.1.3)"
METHOD_TEXT = "Invalid HTTP method 'FETCH' (must be GET, POST, PUT, DELETE, PATCH, HEAD, or OPTIONS)"
RESERVED_TEXT = "path conflicts with the reserved gateway health-check namespace (/_gateway-health)"
BRACES_TEXT = "Operation path has unbalanced braces in parameters"
PATH_REQUIRED = "Operation path is required (set operation.path or operation.match.path.value)"
METHOD_REQUIRED = "HTTP method is required (set operation.method or operation.match.method)"
RESILIENCE_TEXT = (
    "Invalid timeout format (expected a single-unit duration like '30s', '1m', '500ms', or '0s' to disable;"
    " compound, negative, and unitless values are not allowed)"
)
CONNECT_TEXT = "Invalid timeout format (expected a single-unit duration like '30s', '1m', '500ms')"
OVERFLOW = "Invalid timeout format: time: invalid duration"


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(document)
    *parents, last = path.split(".")
    target = result
    for name in parents:
        target = target.setdefault(name, {})
    if value is ABSENT:
        target.pop(last, None)
    else:
        target[last] = value
    return result


CASES = [
    ("kind", "Mcp", [("kind", "Unsupported kind (must be 'RestApi')")]),
    ("kind", ABSENT, [("kind", "Unsupported kind (must be 'RestApi')")]),
    ("spec.displayName", ABSENT, [("spec.displayName", "API display name is required")]),
    ("spec.displayName", "a" * 101, [("spec.displayName", "API display name must be 1-100 characters")]),
    ("spec.displayName", "a#b", [("spec.displayName", NAME_TEXT)]),
    ("spec.displayName", "a\n", [("spec.displayName", NAME_TEXT)]),
    ("spec.displayName", "aé", [("spec.displayName", NAME_TEXT)]),
    ("spec.displayName", "A b.c-d_e", []),
    ("spec.version", "", [("spec.version", "API version is required")]),
    ("spec.version", "1.0.0.0", [("spec.version", VERSION_TEXT)]),
    ("spec.version", "v1.x", [("spec.version", VERSION_TEXT)]),
    ("spec.version", "v\u0663", [("spec.version", VERSION_TEXT)]),
    ("spec.version", "1" * 129, [("spec.version", VERSION_TEXT)]),
    ("spec.version", "1", []),
    ("spec.version", "v2", []),
    ("spec.version", "v1.2.3", []),
    ("spec.context", "", [("spec.context", "Context is required")]),
    ("spec.context", "ping", [("spec.context", "Context must start with /")]),
    ("spec.context", "/ping/", [("spec.context", "Context cannot end with / (except for root context)")]),
    ("spec.context", "/" + "a" * 200, [("spec.context", "Context must be 1-200 characters")]),
    ("spec.context", "/" + "é" * 100, [("spec.context", "Context must be 1-200 characters")]),
    ("spec.context", "/" + "a" * 199, []),
    ("spec.context", "/", []),
    ("spec.context", "/a/{b}/$version/ü", []),
    ("spec.upstream", ABSENT, [("spec.upstream.main", "Must specify either 'url' or 'ref'")]),
    ("spec.upstream.main", {}, [("spec.upstream.main", "Must specify either 'url' or 'ref'")]),
    ("spec.upstream.sandbox", {}, [("spec.upstream.sandbox", "Must specify either 'url' or 'ref'")]),
    ("spec.upstream.sandbox", None, []),
    (
        "spec.upstream.main",
        {"url": "http://a", "ref": ""},
        [("spec.upstream.main", "Specify exactly one of 'url' or 'ref'")],
    ),
    ("spec.upstream.main", {"url": " "}, [("spec.upstream.main.url", "Upstream URL is required")]),
    (
        "spec.upstream.main",
        {"url": "http://[::1"},
        [("spec.upstream.main.url", "Invalid URL format: parse \"http://[::1\": missing ']' in host")],
    ),
    (
        "spec.upstream.main",
        {"url": "ftp://a"},
        [("spec.upstream.main.url", "Upstream URL must use http or https scheme")],
    ),
    ("spec.upstream.main", {"url": "http:///a"}, [("spec.upstream.main.url", "Upstream URL must include a host")]),
    ("spec.upstream.main", {"url": "HTTPS://a/b?c"}, []),
    ("spec.upstream.main", {"ref": " "}, [("spec.upstream.main.ref", "Upstream reference is required")]),
    (
        "spec.upstream.main",
        {"ref": "x"},
        [
            (
                "spec.upstream.main.ref",
                "Referenced upstream definition 'x' not found: no upstreamDefinitions provided",
            )
        ],
    ),
    ("spec.operations", ABSENT, [("spec.operations", "At least one operation is required")]),
    ("spec.operations", [], [("spec.operations", "At least one operation is required")]),
    ("spec.operations", [{"path": "/"}], [("spec.operations[0].method", METHOD_REQUIRED)]),
    ("spec.operations", [{"method": "FETCH", "path": "/"}], [("spec.operations[0].method", METHOD_TEXT)]),
    ("spec.operations", [{"method": "get", "path": "/"}], []),
    (
        "spec.operations",
        [{"method": "GET", "resilience": {"timeout": "x"}}],
        [("spec.operations[0].path", PATH_REQUIRED)],
    ),
    (
        "spec.operations",
        [{"method": "GET", "path": "a"}],
        [("spec.operations[0].path", "Operation path must start with /")],
    ),
    ("spec.operations", [{"method": "GET", "path": "/a/{b"}], [("spec.operations[0].path", BRACES_TEXT)]),
    (
        "spec.operations",
        [
            {
                "method": "GET",
                "path": "/",
                "match": {"method": "FETCH", "path": {"value": "/{"}, "headers": [{}]},
                "resilience": {"timeout": "30"},
            },
            {"match": {}},
        ],
        [
            ("spec.operations[0].match.method", METHOD_TEXT),
            ("spec.operations[0].match.path.value", BRACES_TEXT),
            ("spec.operations[0].resilience.timeout", RESILIENCE_TEXT),
            ("spec.operations[1].match.method", METHOD_REQUIRED),
            ("spec.operations[1].match.path.value", PATH_REQUIRED),
        ],
    ),
    ("spec.resilience", {"timeout": "0s", "idleTimeout": " "}, []),
    ("spec.resilience", {"timeout": "30"}, [("spec.resilience.timeout", RESILIENCE_TEXT)]),
    ("spec.resilience", {"idleTimeout": "1h30m"}, [("spec.resilience.idleTimeout", RESILIENCE_TEXT)]),
    (
        "spec.resilience",
        {"timeout": "9999999999h"},
        [("spec.resilience.timeout", f'{OVERFLOW} "9999999999h"')],
    ),
    ("metadata", ABSENT, [("metadata.name", "Metadata name is required")]),
    (
        "metadata.name",
        "a/b",
        [("metadata.name", "metadata.name must not contain whitespace, '/', '}', or control characters")],
    ),
    (
        "metadata.labels",
        {"a b": "x", "": "y", "ok": "with blank"},
        [
            (
                "metadata.labels",
                f"Label key '{k}' contains whitespace characters. Label keys must not contain any whitespace.",
            )
            for k in ("a b", "")
        ],
    ),
    ("metadata", {"labels": {"a b": "x"}}, [("metadata.name", "Metadata name is required")]),
]


@pytest.mark.conforms(
    "MG-042", "MG-043", "MG-044", "MG-045", "MG-047", "MG-049", "MG-050", "MG-051", "MG-052", "MG-056", "MG-057"
)
@pytest.mark.parametrize(("path", "value", "expected"), CASES)
def test_a_rule_is_reported_at_its_field(
    document: dict[str, Any], problems: Problems, path: str, value: Any, expected: list[tuple[str, str]]
) -> None:
    assert problems(changed(document, path, value)) == expected


@pytest.mark.conforms("MG-046", "MG-048")
def test_slots_and_references(document: dict[str, Any], problems: Problems) -> None:
    both = changed(document, "spec.upstream.main", {"url": "http://a", "ref": "b"})
    assert problems(both) == [("spec.upstream.main", "Specify exactly one of 'url' or 'ref'")]
    neither = changed(document, "spec.upstream.main", {"hostRewrite": "auto"})
    assert problems(neither) == [("spec.upstream.main", "Must specify either 'url' or 'ref'")]

    dangling = changed(document, "spec.upstream.main", {"ref": " b "})
    field = "spec.upstream.main.ref"
    text = "Referenced upstream definition 'b' not found"
    assert problems(dangling) == [(field, f"{text}: no upstreamDefinitions provided")]
    dangling["spec"]["upstreamDefinitions"] = [{"name": "c", "upstreams": [{"url": "http://c"}]}]
    assert problems(dangling) == [(field, f"{text} in upstreamDefinitions")]
    dangling["spec"]["upstreamDefinitions"][0]["name"] = "b"
    assert problems(dangling) == []


def definition(**changes: Any) -> dict[str, Any]:
    return {"name": "d", "upstreams": [{"url": "http://h:80"}], **changes}


DEFINITION_CASES = [
    ({"name": "", "upstreams": []}, [("name", "Upstream definition name is required")]),
    ({"name": "a" * 101}, [("name", "Upstream definition name must be 1-100 characters")]),
    (
        {"name": "a b"},
        [
            (
                "name",
                r"Upstream definition name must match ^[a-zA-Z0-9\-_]+$ (letters, numbers, hyphens, underscores)",
            )
        ],
    ),
    *(
        (
            {"basePath": path},
            [("basePath", "Invalid basePath (must start with '/' and must not end with '/'; omit for root)")],
        )
        for path in ("/", "/a/", "a", "/a b/c")
    ),
    ({"basePath": "/a"}, []),
    ({"basePath": "/a/b.c"}, []),
    ({"upstreams": []}, [("upstreams", "At least one upstream target is required")]),
    ({"upstreams": None}, [("upstreams", "At least one upstream target is required")]),
    ({"upstreams": [{"weight": 101}]}, [("upstreams[0].url", "URL is required")]),
    (
        {"upstreams": [{"url": "http://h:x"}]},
        [("upstreams[0].url", 'Invalid URL format: parse "http://h:x": invalid port ":x" after host')],
    ),
    (
        {"upstreams": [{"url": "ftp:///p?q#f", "weight": -1}]},
        [
            ("upstreams[0].url", "URL must use http or https scheme"),
            ("upstreams[0].url", "URL must include a host"),
            (
                "upstreams[0].url",
                "URL must not include a path; set the base path in upstreamDefinitions[].basePath instead",
            ),
            ("upstreams[0].url", "URL must not include a query string; only host[:port] is used"),
            ("upstreams[0].url", "URL must not include a fragment; only host[:port] is used"),
            ("upstreams[0].weight", "Weight must be between 0 and 100"),
        ],
    ),
    ({"upstreams": [{"url": "https://h/", "weight": 100}]}, []),
    ({"timeout": {"connect": "0s"}}, [("timeout.connect", "Connect timeout must be positive")]),
    ({"timeout": {"connect": "1h30m"}}, [("timeout.connect", CONNECT_TEXT)]),
    ({"timeout": {"connect": "9999999999h"}}, [("timeout.connect", f'{OVERFLOW} "9999999999h"')]),
    ({"timeout": {"connect": " "}}, []),
    ({"timeout": {"connect": "0.5ms"}}, []),
]


@pytest.mark.conforms("MG-055")
@pytest.mark.parametrize(("changes", "expected"), DEFINITION_CASES)
def test_upstream_definitions(
    document: dict[str, Any], problems: Problems, changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    document["spec"]["upstreamDefinitions"] = [definition(name="ok"), definition(**changes)]
    assert problems(document) == [(f"spec.upstreamDefinitions[1].{f}", m) for f, m in expected]


@pytest.mark.conforms("MG-054")
def test_repeated_definition_names_and_targets_that_are_more_than_a_host(
    document: dict[str, Any], problems: Problems
) -> None:
    document["spec"]["upstreamDefinitions"] = [definition(), definition(basePath="/"), definition(name="e")]
    document["spec"]["upstreamDefinitions"][2]["upstreams"] = [
        {"url": "http://h/p"},
        {"url": "http://h?q=1"},
        {"url": "http://h#f"},
    ]
    where = "spec.upstreamDefinitions"
    assert problems(document) == [
        (f"{where}[1].name", "Duplicate upstream definition name 'd'"),
        (
            f"{where}[2].upstreams[0].url",
            "URL must not include a path; set the base path in upstreamDefinitions[].basePath instead",
        ),
        (f"{where}[2].upstreams[1].url", "URL must not include a query string; only host[:port] is used"),
        (f"{where}[2].upstreams[2].url", "URL must not include a fragment; only host[:port] is used"),
    ]


@pytest.mark.conforms("MG-053")
@pytest.mark.parametrize(
    ("context", "path"),
    [
        ("/", "/_gateway-health/x"),
        ("/", "/x/../_gateway-health"),
        ("/", "//_gateway-health//ready"),
        ("/_gateway-health", "/"),
        ("/a", "/../_gateway-health/ready"),
    ],
)
def test_the_gateways_own_paths_are_reserved(
    document: dict[str, Any], problems: Problems, context: str, path: str
) -> None:
    document["spec"] |= {"context": context, "operations": [{"method": "GET", "path": path}]}
    assert problems(document) == [("spec.operations[0].path", RESERVED_TEXT)]


def test_paths_beside_the_reserved_namespace_are_free() -> None:
    assert not is_reserved("/_gateway-healthy")
    assert not is_reserved("/a/_gateway-health")
    assert not is_reserved("/")


def test_version_is_replaced_everywhere_as_written() -> None:
    assert resolve_version("/a/$version/$version", "v1.0") == "/a/v1.0/v1.0"
    assert resolve_version("/a", "v1.0") == "/a"


@pytest.mark.conforms("MG-058")
def test_all_problems_come_at_once_in_the_documented_order(problems: Problems) -> None:
    broken = {
        "kind": "X",
        "metadata": {"name": "a b"},
        "spec": {
            "displayName": "#",
            "version": "x",
            "context": "x/",
            "upstreamDefinitions": [{}],
            "upstream": {"main": {}, "sandbox": {}},
            "resilience": {"timeout": "1"},
            "operations": [
                {
                    "method": "X",
                    "path": "/_gateway-health/{",
                    "resilience": {"idleTimeout": "1"},
                    "policies": [{"name": "nope", "version": "v1"}],
                },
                {},
            ],
            "policies": [{"name": "quota", "version": "v1"}],
        },
    }
    assert [field for field, _ in problems(broken)] == [
        "kind",
        "spec.displayName",
        "spec.version",
        "spec.context",
        "spec.context",
        "spec.upstreamDefinitions[0].name",
        "spec.upstream.main",
        "spec.upstream.sandbox",
        "spec.resilience.timeout",
        "spec.operations[0].method",
        "spec.operations[0].path",
        "spec.operations[0].resilience.idleTimeout",
        "spec.operations[1].method",
        "spec.operations[1].path",
        "spec.policies[0].params",
        "spec.operations[0].policies[0].version",
        "metadata.name",
    ]


def test_a_flood_of_problems_is_cut_and_says_so(document: dict[str, Any], problems: Problems) -> None:
    document["spec"]["operations"] = [{}] * 5000
    found = problems(document)
    assert len(found) == 1001
    assert found[-1] == ("", "only the first 1000 problems are listed")
