"""What a change touches, without Envoy."""

import time

from gatewright.artifacts.restapi import RestApi
from gatewright.compile import compile_restapi
from gatewright.envoy import ScopeIndex, Touched, choose_form, render_all, render_changes
from gatewright.envoy.resource import CLUSTER, ROUTES, SCOPE
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway

from envoy_site import document  # isort: skip

GATEWAY = Gateway(listeners=())


def compiled(api_id: str, context: str, *operations: str, url: str = "http://a") -> Api:
    doc = document(context, list(operations), url=url)
    return compile_restapi(RestApi.from_document(doc), api_id=api_id, gateway=GATEWAY)


def test_an_edit_touches_its_scope_only() -> None:
    index = ScopeIndex([compiled("1", "/a", "GET /x"), compiled("2", "/b", "GET /x")])
    assert index.scopes() == ["a", "b"]
    assert index.apply("1", compiled("1", "/a", "GET /y")) == Touched(scopes=("a",))
    assert index.apply("1", compiled("1", "/a", "GET /y")) == Touched()
    assert index.apply("1", compiled("1", "/c", "GET /y")).scopes == ("a", "c")
    assert index.scopes_of("1") == ["c"]
    assert index.apply("1", None).scopes == ("c",)
    assert index.apply("1", None) == Touched()


def test_only_the_changed_segments_of_a_root_api() -> None:
    index = ScopeIndex([compiled("1", "/", "GET /a", "GET /b")])
    assert index.apply("1", compiled("1", "/", "GET /a", "POST /b")).scopes == ("b",)


def test_clusters_come_with_the_first_user_and_go_with_the_last() -> None:
    index = ScopeIndex()
    assert [u.endpoints[0].host for u in index.apply("1", compiled("1", "/a", "GET /x")).clusters_added] == ["a"]
    assert index.apply("2", compiled("2", "/b", "GET /x")).clusters_added == ()
    assert index.apply("1", None).clusters_removed == ()
    moved = index.apply("2", compiled("2", "/b", "GET /x", url="http://new"))
    assert ([u.endpoints[0].host for u in moved.clusters_added], len(moved.clusters_removed)) == (["new"], 1)
    assert [u.endpoints[0].host for u in index.upstreams()] == ["new"]


def test_the_form_follows_the_content() -> None:
    index = ScopeIndex([compiled("1", "/a", "GET /x")])
    assert index.form == choose_form(index.apis()) == "scoped"
    root = compiled("2", "/", "GET /*")
    to_flat = index.apply("2", root)
    assert (index.form, to_flat.form_changed) == ("flat", True)
    changes = render_changes(index, to_flat, credentials={}, gateway=GATEWAY)
    assert {kind for kind, _ in changes.remove_after_drain} == {SCOPE}
    assert ROUTES in {r.type_url for r in changes.put}
    edit = index.apply("1", compiled("1", "/a", "GET /y"))
    assert [r.type_url for r in render_changes(index, edit, credentials={}, gateway=GATEWAY).put] == [ROUTES]
    back = index.apply("2", None)
    assert back.form_changed
    changes = render_changes(index, back, credentials={}, gateway=GATEWAY)
    assert {r.name for r in changes.put if r.type_url == SCOPE} == {"/_gateway-health", "/a"}
    assert changes.remove_after_drain == ((ROUTES, "all-apis"),)


def test_removal_of_the_last_api_of_a_scope_removes_the_scope_and_its_cluster() -> None:
    index = ScopeIndex([compiled("1", "/a", "GET /x")])
    changes = render_changes(index, index.apply("1", None), credentials={}, gateway=GATEWAY)
    assert changes.put == ()
    assert [kind for kind, _ in changes.remove] == [CLUSTER, SCOPE]


def test_equal_input_gives_equal_bytes_in_any_order() -> None:
    apis = [compiled(str(i), "/shared", f"GET /{i}", "GET /{x}") for i in range(5)]
    one, other = ScopeIndex(apis), ScopeIndex(reversed(apis))
    first = render_all(one, credentials={}, gateway=GATEWAY)
    assert first == render_all(other, credentials={}, gateway=GATEWAY)
    assert len({(r.type_url, r.name) for r in first}) == len(first)


def test_one_edit_costs_the_same_among_many() -> None:
    operations = [f"GET /r{i}/{{id}}" for i in range(8)]
    index = ScopeIndex([compiled(str(i), f"/api{i}", *operations) for i in range(500)])
    edited = compiled("250", "/api250", *operations, "GET /new")
    began = time.perf_counter()
    changes = render_changes(index, index.apply("250", edited), credentials={}, gateway=GATEWAY)
    assert len(changes.put) == 1
    assert time.perf_counter() - began < 0.05
