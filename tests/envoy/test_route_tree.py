"""The prefix tree answers as the complete list would, whatever the routes. Without Envoy."""

import re

import pytest
from envoy.config.route.v3 import route_components_pb2 as proto
from hypothesis import given
from hypothesis import strategies as st

from gatewright.compile.paths import literal_prefix, path_match
from gatewright.envoy import route_tree
from gatewright.model.routes import PathMatch, Rewrite, Route

SEGMENTS = st.sampled_from(["a", "ab", "b", "{x}", "a{x}"])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda s: "/" + "/".join(s))
TEMPLATES = st.tuples(PATHS, st.booleans()).map(lambda t: t[0].rstrip("/") + "/*" if t[1] else t[0])
REQUESTS = st.lists(st.sampled_from(["a", "ab", "abc", "b", "", "a1"]), max_size=5).map(lambda s: "/" + "/".join(s))


def route(index: int, template: str) -> Route:
    return Route(
        name=str(index), api_id="", vhost="*", method="GET", operation_path=template,
        path=path_match("", template, None, ""), headers=(), rank=(index,), first_segment=None,
        rewrite=Rewrite("keep", "", ""), upstream="",
    )  # fmt: skip


def fits(match: PathMatch, path: str) -> bool:
    if match.kind == "regex":
        return re.fullmatch(match.value, path) is not None
    if match.kind == "subtree":
        return path == match.value or path.startswith(match.value + "/")
    return path == match.value or (match.kind == "slash" and path == match.value + "/")


def by_tree(host: proto.VirtualHost, path: str) -> list[str]:
    """Names of the routes that Envoy would try for a path, in order."""
    keys = host.matcher.matcher_tree.prefix_match_map.map
    best = max((key for key in keys if path.startswith(key)), key=len, default=None)
    action = (keys[best] if best is not None else host.matcher.on_no_match).action
    routes = proto.RouteList()
    action.typed_config.Unpack(routes)
    return [r.name for r in routes.routes]


@given(st.lists(TEMPLATES, min_size=3, max_size=14), REQUESTS)
def test_same_answer_as_the_list(templates: list[str], path: str) -> None:
    routes = [route(i, t) for i, t in enumerate(templates)]
    host = proto.VirtualHost()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(route_tree, "LONGEST_LIST", 2)
        route_tree.fill(host, routes, [[proto.Route(name=r.name)] for r in routes], {})
    fitting = [r.name for r in routes if fits(r.path, path)]
    tried = by_tree(host, path)
    assert [name for name in tried if name in fitting] == fitting
    assert tried == sorted(tried, key=int)


@given(TEMPLATES, REQUESTS)
def test_nothing_matches_outside_the_literal_beginning(template: str, path: str) -> None:
    literal = literal_prefix("", template)
    if fits(path_match("", template, None, ""), path):
        assert path == literal or path.startswith(literal + "/") or literal == ""
