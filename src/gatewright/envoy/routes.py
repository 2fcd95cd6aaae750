"""One route of the model → one or two Envoy routes.

Kept lean, because memory is spent per route: literal paths are compared as text and rewritten as text (a pair of routes
with and without the trailing slash costs no more than one expression), and only parameters need an expression.
"""

from collections.abc import Mapping
from functools import lru_cache

from envoy.config.route.v3 import route_components_pb2 as proto
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import any_pb2, wrappers_pb2

from gatewright.envoy.resource import duration
from gatewright.envoy.tracing import route_tracing
from gatewright.model.expressions import quoted
from gatewright.model.gateway import Gateway
from gatewright.model.routes import HeaderMatch, Rewrite, Route

_TRUE = wrappers_pb2.BoolValue(value=True)


def render_route(route: Route, gateway: Gateway, config: Mapping[str, any_pb2.Any]) -> list[proto.Route]:
    """Envoy routes for one route, to be tried in this order. `config` is its configuration of filters, by name."""
    action = _action(
        route.upstream,
        gateway.route_timeout_ms if route.timeout_ms is None else route.timeout_ms,
        _idle_timeout(route, gateway),
        auto_host=route.host_rewrite == "auto",
    )
    tracing = route_tracing(route, gateway)
    rendered = []
    for match, literal in _variants(route):
        one = proto.Route(name=route.name, match=match, route=action)
        _rewrite(one.route, route.rewrite, literal)
        one.match.headers.append(_method(route.method))
        for header in route.headers:
            one.match.headers.append(_header(header))
        if tracing is not None:
            one.tracing.CopyFrom(tracing)
        for name in sorted(config):
            one.typed_per_filter_config[name].CopyFrom(config[name])
        rendered.append(one)
    return rendered


def _variants(route: Route) -> list[tuple[proto.RouteMatch, str | None]]:
    """Each matcher with the literal that it matches, None where that is not one text."""
    path = route.path
    if path.kind == "regex":
        return [(proto.RouteMatch(safe_regex=regex_pb2.RegexMatcher(regex=path.value)), None)]
    if path.kind == "subtree":
        if not path.value:
            return [(proto.RouteMatch(prefix="/"), "/")]
        return [(proto.RouteMatch(path_separated_prefix=path.value), path.value)]
    exact = [path.value] if path.kind == "exact" else [path.value, path.value + "/"]
    return [(proto.RouteMatch(path=value), value) for value in exact]


def _idle_timeout(route: Route, gateway: Gateway) -> int | None:
    """None where the connection manager's own idle timeout says the same."""
    idle = gateway.route_idle_timeout_ms if route.idle_timeout_ms is None else route.idle_timeout_ms
    return None if idle == gateway.stream_idle_timeout_ms else idle


@lru_cache(maxsize=1024)
def _action(upstream: str, timeout_ms: int, idle_timeout_ms: int | None, *, auto_host: bool) -> proto.RouteAction:
    """What routes of an API have in common; callers copy it."""
    action = proto.RouteAction(cluster=upstream, timeout=duration(timeout_ms))
    if idle_timeout_ms is not None:
        action.idle_timeout.CopyFrom(duration(idle_timeout_ms))
    if auto_host:
        action.auto_host_rewrite.CopyFrom(_TRUE)
    return action


def _rewrite(action: proto.RouteAction, rewrite: Rewrite, literal: str | None) -> None:
    """Replace the matched literal by text where that gives the same path, else use an expression."""
    context, base = rewrite.context, rewrite.base
    if rewrite.kind in {"root", "whole"}:
        # a matched literal or expression is replaced as a whole
        action.prefix_rewrite = base + "/" if rewrite.kind == "root" else base or "/"
        return
    if literal is not None:
        target = base + (literal.removeprefix(context) if context else literal)
        if target:
            action.prefix_rewrite = target
            return
    if not context:
        action.regex_rewrite.pattern.regex = "^/"
        action.regex_rewrite.substitution = _substitution(base) + "/"
    elif rewrite.kind == "rest":
        action.regex_rewrite.pattern.regex = f"^{quoted(context)}/?"
        action.regex_rewrite.substitution = "/"
    else:
        action.regex_rewrite.pattern.regex = f"^{quoted(context)}"
        action.regex_rewrite.substitution = _substitution(base)


def _substitution(text: str) -> str:
    return text.replace("\\", "\\\\")


@lru_cache(maxsize=64)
def _method(method: str) -> proto.HeaderMatcher:
    return proto.HeaderMatcher(name=":method", string_match=string_pb2.StringMatcher(exact=method))


def _header(header: HeaderMatch) -> proto.HeaderMatcher:
    match = string_pb2.StringMatcher(exact=header.value)
    if header.kind == "regex":
        match = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=header.value))
    return proto.HeaderMatcher(name=header.name, string_match=match)
