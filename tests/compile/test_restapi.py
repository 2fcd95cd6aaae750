"""RestApi → model, without Envoy."""

import hashlib
from typing import Any

import pytest

from gatewright.artifacts.metadata import Metadata
from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition, PolicyRef
from gatewright.artifacts.restapi import HeaderMatch, Operation, RestApi
from gatewright.artifacts.upstreams import UpstreamDefinition, UpstreamSlot, UpstreamTarget
from gatewright.artifacts.vhosts import Vhosts
from gatewright.compile import CompileError, compile_restapi
from gatewright.compile.expressions import SURELY_SMALL
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway

GATEWAY = Gateway(listeners=())


def api(*paths: str, **changes: Any) -> RestApi:
    fields: dict[str, Any] = {
        "metadata": Metadata("test"),
        "display_name": "Test",
        "version": "v1.0",
        "context": "/ctx",
        "context_template": "/ctx",
        "vhosts": Vhosts(("*",), "sandbox-*"),
        "main": UpstreamSlot(url="http://backend:8080/base"),
        "operations": tuple(Operation(i, "GET", p) for i, p in enumerate(paths or ("/x",))),
    }
    return RestApi(**{**fields, **changes})


def compiled(*paths: str, **changes: Any) -> Api:
    return compile_restapi(api(*paths, **changes), api_id="id-1", gateway=GATEWAY)


def refusal(*paths: str, **changes: Any) -> CompileError:
    with pytest.raises(CompileError) as caught:
        compiled(*paths, **changes)
    assert caught.value.advice
    assert caught.value.field in str(caught.value)
    return caught.value


def test_names_of_routes() -> None:
    headers = (HeaderMatch("X-A ", "1"), HeaderMatch("x-b", "2", "RegularExpression"))
    operations = (Operation(0, "GET", "/{c}/{t}"), Operation(1, "GET", "/y", "Exact", headers))
    first, second = compiled(operations=operations, context="/weather/v1.0").routes
    assert first.name == "GET|/weather/v1.0/{c}/{t}|*"
    canonical = b"x-a\x1fExact\x1f1\x1ex-b\x1fRegularExpression\x1f2"
    assert second.name == f"GET|/weather/v1.0/y|*|{hashlib.sha256(canonical).digest()[:8].hex()}"
    swapped = (Operation(0, "GET", "/y", "Exact", headers[::-1]),)
    assert compiled(operations=swapped, context="/weather/v1.0").routes[0].name == second.name


def test_a_route_for_each_host_and_operation() -> None:
    found = compiled("/a", "/b", vhosts=Vhosts(("one", "two"), "sandbox-*"), sandbox=UpstreamSlot(url="http://sbx"))
    assert len(found.routes) == 6
    assert {r.vhost: r.upstream.split("_")[0] for r in found.routes} == {
        "one": "backend", "two": "backend", "sandbox-*": "sbx",
    }  # fmt: skip
    assert len(found.upstreams) == 2


@pytest.mark.parametrize(
    ("context", "path", "segment"),
    [("/a/b", "/x", "a"), ("/", "/x/y", "x"), ("/", "/", ""), ("/", "/*", None), ("/", "/{x}", None),
     ("/", "/v{x}/y", None), ("/", "/a/*", "a"), ("/a", "/*", "a")],
)  # fmt: skip
def test_first_segment(context: str, path: str, segment: str | None) -> None:
    assert compiled(path, context=context).routes[0].first_segment == segment


def test_equal_content_has_equal_hash_and_shared_upstreams() -> None:
    assert compiled().content_hash == compiled().content_hash != compiled("/y").content_hash
    names = {
        compiled(main=UpstreamSlot(url=url)).routes[0].upstream
        for url in ("http://h", "http://h:80/other", "https://h", "http://H")
    }
    assert len(names) == 2


def test_definitions_give_weights_base_path_and_timeout() -> None:
    targets = (UpstreamTarget("https://a", 3), UpstreamTarget("https://b:8443", 0), UpstreamTarget("https://c"))
    definition = UpstreamDefinition("pool", targets, "/p", 1500)
    found = compiled(main=UpstreamSlot(ref="pool"), upstream_definitions=(definition,))
    (upstream,) = found.upstreams
    assert [(e.host, e.port, e.weight) for e in upstream.endpoints] == [("a", 443, 3), ("c", 443, None)]
    assert (upstream.tls, upstream.connect_timeout_ms, found.routes[0].rewrite.base) == (True, 1500, "/p")


def test_all_weights_zero_means_equal() -> None:
    targets = (UpstreamTarget("http://a", 0), UpstreamTarget("http://b", 0))
    found = compiled(main=UpstreamSlot(ref="p"), upstream_definitions=(UpstreamDefinition("p", targets),))
    assert [e.weight for e in found.upstreams[0].endpoints] == [None, None]


@pytest.mark.parametrize(
    ("slot", "targets", "code", "field"),
    [
        (UpstreamSlot(ref="missing"), (), "UPSTREAM_REF_UNKNOWN", "spec.upstream.main.ref"),
        (UpstreamSlot(ref="pool"), (), "UPSTREAM_EMPTY", "spec.upstreamDefinitions[0]"),
        (UpstreamSlot(ref="pool"), ("http://a", "https://b"), "UPSTREAM_MIXED_SCHEMES",
         "spec.upstreamDefinitions[0].upstreams"),
        (UpstreamSlot(url="ftp://a"), (), "UPSTREAM_URL", "spec.upstream.main.url"),
        (UpstreamSlot(url="http://a:99999"), (), "UPSTREAM_URL", "spec.upstream.main.url"),
        (UpstreamSlot(url="http://:80"), (), "UPSTREAM_URL", "spec.upstream.main.url"),
        (UpstreamSlot(url="http://[::1"), (), "UPSTREAM_URL", "spec.upstream.main.url"),
    ],
)  # fmt: skip
def test_bad_upstreams(slot: UpstreamSlot, targets: tuple[str, ...], code: str, field: str) -> None:
    definition = UpstreamDefinition("pool", tuple(UpstreamTarget(url) for url in targets))
    error = refusal(main=slot, upstream_definitions=(definition,))
    assert (error.code, error.field) == (code, field)


def test_expressions_that_envoy_would_refuse() -> None:
    bad = (Operation(0, "GET", "/x", "Exact", (HeaderMatch("a", "(?=x)", "RegularExpression"),)),)
    assert refusal(operations=bad).code == "REGEX_INVALID"
    assert refusal(operations=bad).field == "spec.operations[0].match.headers[0].value"
    huge = (Operation(0, "GET", "/x", "Exact", (HeaderMatch("a", "(a{50}){10}", "RegularExpression"),)),)
    assert refusal(operations=huge).code == "REGEX_TOO_LARGE"
    long = refusal("/" + "/".join(f"{{parameter{i}}}/literal-{i:020}" for i in range(30)))
    assert (long.code, long.field) == ("REGEX_TOO_LARGE", "spec.operations[0].path")


def test_the_limit_of_expressions_is_the_routers() -> None:
    long = "/" + "/".join(f"{{parameter{i}}}/literal-{i:020}" for i in range(30))
    larger = Gateway(listeners=(), regex_program_limit=5_000)
    assert compile_restapi(api(long), api_id="id-1", gateway=larger).routes
    header = (Operation(0, "GET", "/x", "Exact", (HeaderMatch("a", "(a{50}){10}", "RegularExpression"),)),)
    assert compile_restapi(api(operations=header), api_id="id-1", gateway=larger).routes
    smaller = Gateway(listeners=(), regex_program_limit=6)
    with pytest.raises(CompileError, match="more than 6") as caught:
        compile_restapi(api("/a-short-one/{id}"), api_id="id-1", gateway=smaller)
    assert caught.value.code == "REGEX_TOO_LARGE"
    assert "re2_max_program_size" in str(caught.value.advice)


def test_short_expressions_are_small_without_a_check() -> None:
    import re2  # noqa: PLC0415

    worst = "^" + "/[^/]+" * (SURELY_SMALL // 6) + "$"
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    assert re2.compile(worst.encode(), options).programsize < 400


def test_paths_that_no_request_can_have_give_no_route() -> None:
    found = compiled("/a?b=c", "/with blank", "/{pet id}", "/#x", "/\x00")
    assert [r.operation_path for r in found.routes] == ["/{pet id}"]


def test_bad_contexts_hosts_and_headers() -> None:
    assert refusal(context="/a b").field == "spec.context"
    assert refusal(vhosts=Vhosts(("a b",))).code == "VHOST_INVALID"
    assert refusal("/_gateway-health/x", context="/").code == "PATH_RESERVED"
    assert refusal(vhosts=Vhosts(("A",), "a"), sandbox=UpstreamSlot(url="http://s")).code == "VHOST_CONFLICT"
    nameless = (Operation(0, "GET", "/x", "Exact", (HeaderMatch(" ", "1"),)),)
    assert refusal(operations=nameless).field == "spec.operations[0].match.headers[0].name"
    control = (Operation(0, "GET", "/x", "Exact", (HeaderMatch("a", "1\n"),)),)
    assert refusal(operations=control).code == "HEADER_VALUE"


def test_policies_of_the_api_come_before_those_of_the_operation() -> None:
    shared, own = PolicyRef("a", "v1", "v1.0.0"), PolicyRef("b", "v1", "v1.1.0", "request.Method == 'GET'", {"k": [1]})
    operations = (Operation(0, "GET", "/x", policies=(own, shared)), Operation(1, "GET", "/y"))
    first, second = compiled(operations=operations, policies=(shared,)).routes
    assert [(p.name, p.version, p.attached_to) for p in first.policies] == [
        ("a", "v1.0.0", "api"), ("b", "v1.1.0", "route"), ("a", "v1.0.0", "route"),
    ]  # fmt: skip
    assert (first.policies[1].params, first.policies[1].condition) == ({"k": [1]}, "request.Method == 'GET'")
    assert [p.name for p in second.policies] == ["a"]


def test_a_policy_that_is_not_there_fails_the_api() -> None:
    """It may be what protects the API: never dropped silently."""
    catalogue = PolicyCatalogue([PolicyDefinition("a", "v1.2.3")])
    resolved = compile_restapi(api(policies=(PolicyRef("a", "v1"),)), api_id="id", gateway=GATEWAY, catalogue=catalogue)
    assert resolved.routes[0].policies[0].version == "v1.2.3"
    with pytest.raises(CompileError) as caught:
        compile_restapi(api(policies=(PolicyRef("b", "v1"),)), api_id="id", gateway=GATEWAY, catalogue=catalogue)
    assert (caught.value.code, caught.value.field) == ("POLICY_UNKNOWN", "spec.policies[0].version")


def test_the_later_of_two_equal_operations_wins() -> None:
    operations = (Operation(0, "GET", "/x"), Operation(1, "GET", "/x", policies=(PolicyRef("a", "v1", "v1.0.0"),)))
    (route,) = compiled(operations=operations).routes
    assert len(route.policies) == 1
