"""Ordered routes → what a virtual host tries: a list, or a prefix tree where a list would be slow.

Envoy tries the routes of a list one after another. The tree is keyed by literal beginnings of paths; a request gets the
list of its longest key. Each list holds, in the original order, every route that a path under its key can match, so the
answer is the same as with the complete list.
"""

from collections.abc import Mapping, Sequence

from envoy.config.route.v3 import route_components_pb2 as proto
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.type.matcher.v3 import matcher_pb2

from gatewright.envoy.resource import packed
from gatewright.model.routes import Route

LONGEST_LIST = 48  # routes; up to here a list is as fast as a tree and smaller
DEEPEST_KEY = 8  # segments

Rendered = list[proto.Route]


def fill(
    host: proto.VirtualHost,
    routes: Sequence[Route],
    rendered: Sequence[Rendered],
    reserved: Mapping[str, Rendered],
) -> None:
    """Put routes, rendered one by one, into a virtual host. `reserved` are the gateway's own, by path prefix: first."""
    if len(routes) > LONGEST_LIST:
        _fill_tree(host.matcher, routes, rendered, reserved)
        return
    host.routes.extend(one for own in reserved.values() for one in own)
    host.routes.extend(one for several in rendered for one in several)


def _fill_tree(
    matcher: matcher_pb2.Matcher,
    routes: Sequence[Route],
    rendered: Sequence[Rendered],
    reserved: Mapping[str, Rendered],
) -> None:
    keys = tree_keys(routes)
    under: dict[str, list[int]] = {}
    for index, route in enumerate(routes):
        under.setdefault(_nearest(route.path.literal, keys), []).append(index)
    tree = matcher.matcher_tree
    tree.input.name = "path"
    tree.input.typed_config.CopyFrom(packed(http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=":path")))
    for key in sorted(keys | reserved.keys()):
        found = sorted(index for ancestor in _ancestors(key) for index in under.get(ancestor, ()))
        own = [*reserved.get(key, ()), *(one for index in found for one in rendered[index])]
        tree.prefix_match_map.map[key].CopyFrom(_list_of(own))
    if "" in under:
        matcher.on_no_match.CopyFrom(_list_of([one for index in under[""] for one in rendered[index]]))


def tree_keys(routes: Sequence[Route]) -> set[str]:
    """Literal beginnings, as short as lists of a bearable length allow."""
    keys: set[str] = set()
    pending = [(routes, 1)]
    while pending:
        group, depth = pending.pop()
        deeper: dict[str, list[Route]] = {}
        for route in group:
            beginning = _cut(route.path.literal, depth)
            if beginning is not None:
                deeper.setdefault(beginning, []).append(route)
        keys.update(deeper)
        pending.extend((g, depth + 1) for g in deeper.values() if len(g) > LONGEST_LIST and depth < DEEPEST_KEY)
    return keys


def _cut(literal: str, depth: int) -> str | None:
    """The first `depth` segments; None when there are fewer."""
    segments = literal.split("/")
    return "/".join(segments[: depth + 1]) if len(segments) > depth else None


def _ancestors(key: str) -> list[str]:
    """The key and everything above it, shortest first, "" included."""
    segments = key.split("/")
    return ["/".join(segments[:count]) for count in range(1, len(segments) + 1)]


def _nearest(literal: str, keys: set[str]) -> str:
    """The longest key that is a beginning of `literal` in whole segments; "" when there is none."""
    return next((beginning for beginning in reversed(_ancestors(literal)) if beginning in keys), "")


def _list_of(routes: Rendered) -> matcher_pb2.Matcher.OnMatch:
    matched = matcher_pb2.Matcher.OnMatch()
    matched.action.name = "routes"
    matched.action.typed_config.CopyFrom(packed(proto.RouteList(routes=routes)))
    return matched
