"""How answers that Envoy makes itself look.

Only "no route" is shaped here (404 with the response flag NR), which neither an upstream's 404 nor a policy's answer
carries. Policies bring the shapes of their own answers.
"""

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from gatewright.envoy.policies import local_replies
from gatewright.model.gateway import Gateway

NOT_FOUND_BODY = '{"error":"Not Found"}'


def local_reply_config(gateway: Gateway) -> hcm_pb2.LocalReplyConfig:
    """All shapes; the first that fits is used."""
    return hcm_pb2.LocalReplyConfig(mappers=[*local_replies(gateway), _no_route()])


def _no_route() -> hcm_pb2.ResponseMapper:
    json = substitution_format_string_pb2.SubstitutionFormatString(
        text_format_source=base_pb2.DataSource(inline_string=NOT_FOUND_BODY), content_type="application/json"
    )
    no_route = accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=["NR"]))
    return hcm_pb2.ResponseMapper(filter=no_route, body_format_override=json)
