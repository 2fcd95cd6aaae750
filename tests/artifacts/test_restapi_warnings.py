"""What is accepted but told to the author."""

from typing import Any

import pytest

from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.restapi_validation import validate_restapi
from gatewright.artifacts.vhosts import VhostDefaults

GET = {"method": "GET", "path": "/"}
DEFINITION = "spec.upstreamDefinitions[0].upstreams"


def match(**changes: Any) -> dict[str, Any]:
    return {"match": {"method": "GET", "path": {"value": "/a", "type": "Exact"}, **changes}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"context": "/a b"}, [("unusual-context", "spec.context")]),
        ({"context": "/a/{b}"}, [("unusual-context", "spec.context")]),
        ({"context": "/a/$version"}, []),
        ({"operations": [GET, match(), GET]}, [("duplicate-operation", "spec.operations[2]")]),
        ({"operations": [match(headers=[{"name": "A", "value": "1"}]), match()]}, []),
        (
            {"operations": [{"method": "get", "path": "/"}, GET]},
            [("lower-case-method", "spec.operations[0].method"), ("duplicate-operation", "spec.operations[1]")],
        ),
        ({"operations": [match(method="get")]}, [("lower-case-method", "spec.operations[0].match.method")]),
        (
            {"operations": [{"method": "GET", "path": "/a/{x}/*"}]},
            [("literal-braces", "spec.operations[0].path")],
        ),
        ({"operations": [{"method": "GET", "path": "/a/}x{"}]}, [("unusual-braces", "spec.operations[0].path")]),
        ({"operations": [{"method": "GET", "path": "/a/v{x}.json"}]}, []),
        (
            {"operations": [match(path={"value": "/a", "type": "Regex"})]},
            [("unknown-path-type", "spec.operations[0].match.path.type")],
        ),
        (
            {"operations": [match(headers=[{"type": "Prefix"}])]},
            [
                ("header-without-name", "spec.operations[0].match.headers[0].name"),
                ("unknown-header-type", "spec.operations[0].match.headers[0].type"),
            ],
        ),
        ({"deploymentState": "gone"}, [("unknown-deployment-state", "spec.deploymentState")]),
        ({"vhosts": {"main": "a b;*.x.org"}}, [("unusual-vhost", "spec.vhosts.main")]),
        ({"vhosts": {"main": "a", "sandbox": "a"}}, []),
        (
            {
                "vhosts": {"main": "a;b", "sandbox": "b"},
                "upstream": {"main": {"url": "http://a"}, "sandbox": {"url": "http://b"}},
            },
            [("sandbox-vhost-collides", "spec.vhosts.sandbox")],
        ),
        (
            {"upstream": {"main": {"url": "http://u:p@:99999/?q", "hostRewrite": "never"}}},
            [
                ("upstream-without-host", "spec.upstream.main.url"),
                ("upstream-port-range", "spec.upstream.main.url"),
                ("upstream-query-ignored", "spec.upstream.main.url"),
                ("upstream-user-ignored", "spec.upstream.main.url"),
                ("unknown-host-rewrite", "spec.upstream.main.hostRewrite"),
            ],
        ),
        (
            {"upstreamDefinitions": [{"name": "d", "upstreams": [{"url": "http://a"}, {"url": "https://a:0"}]}]},
            [("upstream-port-range", f"{DEFINITION}[1].url"), ("mixed-schemes", DEFINITION)],
        ),
    ],
)
def test_warnings(
    document: dict[str, Any], catalogue: PolicyCatalogue, changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    document["spec"] |= changes
    valid = validate_restapi(document, catalogue=catalogue, defaults=VhostDefaults())
    assert [(w.code, w.field) for w in valid.warnings] == expected
    assert all(w.message for w in valid.warnings)
