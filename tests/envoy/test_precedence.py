"""Which operation wins, through real Envoy: the reply names the operation through its backend's base path."""

import pytest
from envoy_harness import Backend, Reply
from envoy_site import Site, document, match


@pytest.fixture(scope="module")
def gateway(site: Site, backend: Backend) -> Site:
    """Candidates are two APIs with the same context, told apart by their base paths."""
    url = f"http://127.0.0.1:{backend.port}"
    two = lambda context, first, second, **kw: {  # noqa: E731
        f"{context}a": document(f"/{context}", [first], url=f"{url}/first", **kw),
        f"{context}b": document(f"/{context}", [second], url=f"{url}/second", **kw),
    }
    site.deploy(
        **two("literal", "GET /{id}/x", "GET /b/x"),
        **two("parameter", "GET /*", "GET /{id}"),
        **two("leftmost", "GET /a/{x}/c", "GET /a/b/*"),
        **two("mixed", "GET /{id}", "GET /{id}.json"),
        **two("ending", "GET /a/*", "GET /a"),
        **two("exact", "GET /x", match("GET", "/x")),
        **two("global", "GET /a/b", match("GET", "/a/b")),
        **two("headers", "GET /x", match("GET", "/x", "PathPrefix", ("x-a", "1", "Exact"))),
        **two(
            "morehdr",
            match("GET", "/x", "PathPrefix", ("x-a", "1", "Exact")),
            match("GET", "/x", "PathPrefix", ("x-a", "1", "Exact"), ("x-b", "2", "Exact")),
        ),
        **two(
            "exacthdr",
            match("GET", "/x", "PathPrefix", ("x-a", ".*", "RegularExpression")),
            match("GET", "/x", "PathPrefix", ("x-a", "1", "Exact")),
        ),
        forms=document(
            "/forms",
            [
                match("GET", "/x", "PathPrefix", ("X-Kind ", "Red", "Exact")),
                match("GET", "/y", "PathPrefix", ("x-kind", "r[0-9]+", "RegularExpression")),
                match("GET", "/z", "PathPrefix", ("x-kind", "blue", "Unknown")),
                match("get", "/lower", "PathPrefix"),
            ],
            url=f"{url}/forms",
        ),
    )
    return site


def chosen(reply: Reply) -> str:
    assert reply.status == 200, reply.status
    return str(reply.json["path"]).split("/")[1]


@pytest.mark.parametrize(
    ("path", "winner"),
    [
        pytest.param("/literal/b/x", "second", marks=pytest.mark.conforms("DP-015")),
        ("/literal/c/x", "first"),
        pytest.param("/parameter/1", "second", marks=pytest.mark.conforms("DP-016")),
        ("/parameter/1/2", "first"),
        pytest.param("/leftmost/a/b/c", "second", marks=pytest.mark.conforms("DP-017")),
        ("/leftmost/a/q/c", "first"),
        pytest.param("/mixed/1.json", "second", marks=pytest.mark.conforms("DP-018")),
        ("/mixed/1.xml", "first"),
        ("/ending/a", "second"),
        ("/ending/a/b", "first"),
        pytest.param("/exact/x", "second", marks=pytest.mark.conforms("DP-019")),
        ("/exact/x/", "first"),
        ("/global/a/b", "second"),
    ],
)
def test_more_specific_paths_win(gateway: Site, path: str, winner: str) -> None:
    assert chosen(gateway.get(path)) == winner


@pytest.mark.conforms("DP-020", "DP-021")
def test_header_matchers_select_and_more_of_them_win(gateway: Site) -> None:
    one, both = [("x-a", "1")], [("x-a", "1"), ("x-b", "2")]
    assert chosen(gateway.get("/headers/x")) == "first"
    assert chosen(gateway.get("/headers/x", headers=one)) == "second"
    assert gateway.get("/morehdr/x").status == 404
    assert chosen(gateway.get("/morehdr/x", headers=one)) == "first"
    assert chosen(gateway.get("/morehdr/x", headers=both)) == "second"
    assert chosen(gateway.get("/exacthdr/x", headers=one)) == "second"
    assert chosen(gateway.get("/exacthdr/x", headers=[("x-a", "2")])) == "first"


@pytest.mark.conforms("DP-023")
def test_expressions_match_the_complete_value(gateway: Site) -> None:
    assert gateway.get("/forms/y", headers=[("x-kind", "r12")]).status == 200
    assert gateway.get("/forms/y", headers=[("x-kind", "r12x")]).status == 404
    assert gateway.get("/forms/y", headers=[("x-kind", "xr12")]).status == 404


@pytest.mark.conforms("DP-024")
def test_names_ignore_case_and_values_do_not(gateway: Site) -> None:
    assert gateway.get("/forms/x", headers=[("x-KIND", "Red")]).status == 200
    assert gateway.get("/forms/x", headers=[("x-kind", "red")]).status == 404


def test_unknown_matcher_types_are_exact(gateway: Site) -> None:
    assert gateway.get("/forms/z", headers=[("x-kind", "blue")]).status == 200


def test_a_lower_case_method_works(gateway: Site) -> None:
    assert gateway.get("/forms/lower").status == 200
