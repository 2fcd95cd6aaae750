"""How requests find their operation, through real Envoy. Every case runs in the scoped and in the flat form."""

from typing import Any

import pytest
from envoy_harness import Backend, Reply
from envoy_site import Site, document, match

NOT_FOUND = b'{"error":"Not Found"}'


@pytest.fixture(scope="module", params=["scoped", "flat"])
def gateway(request: pytest.FixtureRequest, start_site: Any, backend: Backend) -> Site:
    site: Site = start_site()
    url = f"http://127.0.0.1:{backend.port}"
    where = lambda name: f"{url}/{name}"  # noqa: E731
    documents: dict[str, Any] = {
        "plain": document("/plain", ["GET /foo", "GET /", "GET /p/{id}", "GET /a/*"], url=where("plain")),
        "versioned": document("/v/$version/api", ["GET /x"], version="v1.0", url=where("versioned")),
        "unprefixed": document("/v/$version/api", ["GET /x"], version="2.1.3", url=where("unprefixed")),
        "root": document("/", ["GET /rootop", "GET /"], url=where("root")),
        "segment": document("/segment", ["GET /{x}"], url=where("segment")),
        "exact": document("/exact", [match("GET", "/x"), "GET /y"], url=where("exact")),
        "shared1": document("/shared/one", ["GET /x", "GET /{any}"], url=where("one")),
        "shared2": document("/shared/two", ["GET /x"], url=where("two")),
        "deep": document("/deep", ["GET /a/{x}/*", "GET /v{n}.json"], url=where("deep")),
        "many": document("/many", [f"GET /r{i}/{{id}}" for i in range(70)] + ["GET /*"], url=where("many")),
    }
    if request.param == "flat":
        documents["catchall"] = document("/", ["PATCH /*"], url=where("catchall"))
    site.deploy(**documents)
    assert site.index.form == request.param
    return site


def reached(reply: Reply) -> str:
    """The path that the backend saw."""
    assert reply.status == 200, (reply.status, reply.body)
    return str(reply.json["path"])


def not_found(reply: Reply) -> bool:
    return (reply.status, reply.headers.get("content-type"), reply.body) == (404, "application/json", NOT_FOUND)


@pytest.mark.conforms("DP-003")
@pytest.mark.parametrize("path", ["/nothing", "/plain/nothing", "/plainx", "/plain/foo/bar", "/?x=/plain/foo"])
def test_unknown_paths_get_the_gateways_404(gateway: Site, path: str) -> None:
    reply = gateway.get(path, method="GET" if path != "/?x=/plain/foo" else "POST")
    assert not_found(reply)
    assert [v for k, v in reply.headers_list if k == "content-type"] == ["application/json"]
    assert reply.headers["server"] == "WSO2 API Platform"


@pytest.mark.conforms("DP-004", "DP-005", "DP-006")
@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE", "PUT"])
def test_methods_that_are_not_listed_are_not_found(gateway: Site, method: str) -> None:
    assert not_found(gateway.get("/plain/foo", method=method))
    head = gateway.get("/plain/foo", method="HEAD")
    assert (head.status, head.headers["content-length"]) == (404, str(len(NOT_FOUND)))


@pytest.mark.conforms("DP-007")
def test_version_in_the_context_is_the_text_as_written(gateway: Site) -> None:
    assert reached(gateway.get("/v/v1.0/api/x")) == "/versioned/x"
    assert reached(gateway.get("/v/2.1.3/api/x")) == "/unprefixed/x"
    assert not_found(gateway.get("/v/v2.1.3/api/x"))
    assert not_found(gateway.get("/v/v1x0/api/x"))


@pytest.mark.conforms("DP-008")
def test_root_context(gateway: Site) -> None:
    assert reached(gateway.get("/rootop")) == "/root/rootop"
    assert reached(gateway.get("/")) == "/root/"
    assert reached(gateway.get("/?a=b")) == "/root/?a=b"


@pytest.mark.conforms("DP-009")
def test_literal_operation_with_and_without_slash(gateway: Site) -> None:
    assert reached(gateway.get("/plain/foo")) == "/plain/foo"
    assert reached(gateway.get("/plain/foo/")) == "/plain/foo/"
    assert not_found(gateway.get("/plain/foo//x"))


@pytest.mark.conforms("DP-010", "DP-038")
def test_root_operation_reaches_base_and_slash(gateway: Site) -> None:
    assert reached(gateway.get("/plain")) == "/plain/"
    assert reached(gateway.get("/plain/")) == "/plain/"
    assert reached(gateway.get("/plain?q=1")) == "/plain/?q=1"


@pytest.mark.conforms("DP-011", "DP-013")
def test_parameters_need_a_character_and_no_trailing_slash(gateway: Site) -> None:
    assert reached(gateway.get("/plain/p/1")) == "/plain/p/1"
    assert not_found(gateway.get("/plain/p/1/"))
    assert not_found(gateway.get("/plain/p/"))
    assert reached(gateway.get("/segment/a")) == "/segment/a"
    assert not_found(gateway.get("/segment/"))
    assert not_found(gateway.get("/segment"))


@pytest.mark.conforms("DP-012", "DP-037")
def test_wildcards_cover_prefix_and_below(gateway: Site) -> None:
    for path in ("/a", "/a/", "/a/b/c"):
        assert reached(gateway.get("/plain" + path)) == "/plain" + path
    assert not_found(gateway.get("/plain/ab"))


@pytest.mark.conforms("DP-014")
def test_an_encoded_slash_belongs_to_the_parameter(gateway: Site) -> None:
    assert reached(gateway.get("/plain/p/a%2Fb")) == "/plain/p/a%2Fb"


@pytest.mark.conforms("DP-022")
def test_exact_match_form_takes_no_trailing_slash(gateway: Site) -> None:
    assert reached(gateway.get("/exact/x")) == "/exact/x"
    assert not_found(gateway.get("/exact/x/"))
    assert reached(gateway.get("/exact/y/")) == "/exact/y/"


@pytest.mark.conforms("DP-025")
def test_case_of_paths_matters(gateway: Site) -> None:
    assert not_found(gateway.get("/plain/FOO"))
    assert not_found(gateway.get("/PLAIN/foo"))


@pytest.mark.conforms("DP-026", "DP-027")
def test_paths_are_normalised_before_routing(gateway: Site) -> None:
    assert reached(gateway.get("//plain//foo")) == "/plain/foo"
    assert reached(gateway.get("/plain/x/../foo")) == "/plain/foo"
    assert reached(gateway.get("/other/%2e%2e/plain/./foo")) == "/plain/foo"


@pytest.mark.conforms("DP-029", "DP-040")
def test_the_query_takes_no_part_and_arrives_unchanged(gateway: Site) -> None:
    query = "?b=2&a=1&a=%20x&path=/plain/p/../1&empty=&flag"
    assert reached(gateway.get("/plain/foo" + query)) == "/plain/foo" + query
    assert reached(gateway.get("/plain/p/1" + query)) == "/plain/p/1" + query
    assert reached(gateway.get("/plain/a/b" + query)) == "/plain/a/b" + query


def test_apis_that_share_a_first_segment(gateway: Site) -> None:
    assert reached(gateway.get("/shared/one/x")) == "/one/x"
    assert reached(gateway.get("/shared/one/y")) == "/one/y"
    assert reached(gateway.get("/shared/two/x")) == "/two/x"
    assert not_found(gateway.get("/shared/two/y"))


def test_a_parameter_in_front_of_a_wildcard_is_a_parameter(gateway: Site) -> None:
    assert reached(gateway.get("/deep/a/1")) == "/deep/a/1"
    assert reached(gateway.get("/deep/a/1/b/c")) == "/deep/a/1/b/c"
    assert not_found(gateway.get("/deep/a"))
    assert reached(gateway.get("/deep/v7.json")) == "/deep/v7.json"
    assert not_found(gateway.get("/deep/v7xjson"))


def test_many_routes_in_one_scope_answer_as_a_list_would(gateway: Site) -> None:
    assert reached(gateway.get("/many/r7/x")) == "/many/r7/x"
    assert reached(gateway.get("/many/r69/x")) == "/many/r69/x"
    assert reached(gateway.get("/many/r7/x/y")) == "/many/r7/x/y"
    assert reached(gateway.get("/many/zzz")) == "/many/zzz"
    assert reached(gateway.get("/many")) == "/many"
    assert not_found(gateway.get("/many/r7/x", method="POST"))


@pytest.mark.conforms("DP-001", "DP-002")
@pytest.mark.parametrize(("name", "status"), [("ready", "ready"), ("healthy", "healthy")])
def test_health_on_every_host(gateway: Site, name: str, status: str) -> None:
    for host in ("localhost", "sandbox-x", "api.example.com:81"):
        reply = gateway.get(f"/_gateway-health/{name}", host=host)
        assert (reply.status, reply.headers["content-type"], reply.json) == (
            200,
            "application/json",
            {"status": status},
        )
    assert not_found(gateway.get("/_gateway-health/other"))


def test_the_catch_all_of_a_root_api_takes_what_nobody_else_wants(gateway: Site) -> None:
    if gateway.index.form == "flat":
        for path in ("/", "/x", "/plain/foo", "/plain/unknown", "/many/r7/x", "/many/q/w/e", "/shared"):
            assert reached(gateway.get(path, method="PATCH")) == "/catchall" + path
        assert gateway.get("/_gateway-health/ready", method="PATCH").json == {"status": "ready"}
    else:
        assert not_found(gateway.get("/plain/unknown", method="PATCH"))


def test_what_is_not_a_path_is_refused(gateway: Site) -> None:
    assert gateway.get("*", method="OPTIONS").status in {400, 404}
    assert gateway.get("plain/foo").status in {400, 404}
