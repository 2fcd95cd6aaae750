"""Envoy's RBAC filter as a look-up: one exact map on a private header decides, however many entries it has.

Builders for the native forms of policies. The name of the entry that matched is left behind as dynamic metadata, and
names a denial in the response's details, so that each policy gives its own answer.
"""

from collections.abc import Mapping

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from google.protobuf.message import Message
from xds.type.matcher.v3 import matcher_pb2

NO_ENTRY = "-"
"""What the private header holds when there is nothing to look up."""


def allow(name: str) -> matcher_pb2.Matcher.OnMatch:
    """Go on."""
    return _on_match(name, rbac_pb2.RBAC.ALLOW)


def deny(name: str) -> matcher_pb2.Matcher.OnMatch:
    """Answer 403. `name` may hold blanks."""
    return _on_match(name, rbac_pb2.RBAC.DENY)


def lookup(
    header: str, entries: Mapping[str, matcher_pb2.Matcher.OnMatch], otherwise: matcher_pb2.Matcher.OnMatch
) -> Message:
    """The filter's configuration for a route configuration: `entries` by the value of `header`."""
    matcher = matcher_pb2.Matcher(on_no_match=otherwise)
    tree = matcher.matcher_tree
    tree.input.name = "credential"
    value = http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=header)
    tree.input.typed_config.Pack(value, deterministic=True)
    found = tree.exact_match_map.map
    found[NO_ENTRY].CopyFrom(otherwise)
    for key, on_match in entries.items():
        found[key].CopyFrom(on_match)
    per_route: Message = http_rbac_pb2.RBACPerRoute(rbac=http_rbac_pb2.RBAC(matcher=matcher))
    return per_route


def answer(policy: str, *denials: str, status: int, body: bytes) -> Message:
    """What a denial under one of these names answers instead of Envoy's 403."""
    mapper = hcm_pb2.ResponseMapper()
    denied = accesslog_pb2.AccessLogFilter()
    denied.status_code_filter.comparison.value.default_value = 403
    denied.status_code_filter.comparison.value.runtime_key = f"gatewright.{policy}.status"
    by_rbac = accesslog_pb2.AccessLogFilter()
    by_rbac.extension_filter.name = policy
    details = ", ".join(f"'rbac_access_denied_matched_policy[{name.replace(' ', '_')}]'" for name in denials)
    by_rbac.extension_filter.typed_config.Pack(
        cel_pb2.ExpressionFilter(expression=f"response.code_details in [{details}]"), deterministic=True
    )
    mapper.filter.and_filter.filters.extend([denied, by_rbac])
    mapper.status_code.value = status
    mapper.body.inline_string = body.decode()
    mapper.body_format_override.CopyFrom(
        substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string="%LOCAL_REPLY_BODY%"),
            content_type="application/json",
        )
    )
    message: Message = mapper
    return message


def _on_match(name: str, action: "rbac_pb2.RBAC.Action.ValueType") -> matcher_pb2.Matcher.OnMatch:
    on_match = matcher_pb2.Matcher.OnMatch()
    on_match.action.name = name
    on_match.action.typed_config.Pack(rbac_pb2.Action(name=name, action=action), deterministic=True)
    return on_match
