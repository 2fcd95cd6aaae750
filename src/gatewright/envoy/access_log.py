"""One line per request on Envoy's standard output. Fields and order: data-plane reference, section 33."""

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2

from gatewright.envoy.resource import packed
from gatewright.model.gateway import AccessLog

DEFAULT_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %REQ(:PATH)% %UPSTREAM_PROTOCOL% '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %REQUEST_TX_DURATION% %RESPONSE_TX_DURATION% %REQUEST_DURATION% "
    '%RESPONSE_DURATION% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" '
    '"%UPSTREAM_HOST%"\n'
)
DEFAULT_FIELDS = {
    "t": "%START_TIME%",
    "meth": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "proto": "%PROTOCOL%",
    "respCd": "%RESPONSE_CODE%",
    "respFlg": "%RESPONSE_FLAGS%",
    "bytesRx": "%BYTES_RECEIVED%",
    "bytesTx": "%BYTES_SENT%",
    "dur": "%DURATION%",
    "upSvcT": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "xff": "%REQ(X-FORWARDED-FOR)%",
    "ua": "%REQ(USER-AGENT)%",
    "reqId": "%REQ(X-REQUEST-ID)%",
    "host": "%REQ(:AUTHORITY)%",
    "upHost": "%UPSTREAM_HOST%",
    "upProto": "%UPSTREAM_PROTOCOL%",
    "upPath": "%REQ(:PATH)%",
    "respCdDtl": "%RESPONSE_CODE_DETAILS%",
    "connTrmDtl": "%CONNECTION_TERMINATION_DETAILS%",
    "reqTxDur": "%REQUEST_TX_DURATION%",
    "respTxDur": "%RESPONSE_TX_DURATION%",
    "reqDur": "%REQUEST_DURATION%",
    "respDur": "%RESPONSE_DURATION%",
}


def access_logs(settings: AccessLog | None) -> list[accesslog_pb2.AccessLog]:
    """The configured log, or none."""
    if settings is None:
        return []
    form = substitution_format_string_pb2.SubstitutionFormatString()
    if settings.format == "json":
        form.json_format.update(settings.json_fields or DEFAULT_FIELDS)
    else:
        form.text_format_source.CopyFrom(base_pb2.DataSource(inline_string=settings.text_format or DEFAULT_TEXT))
    log = stream_pb2.StdoutAccessLog(log_format=form)
    return [accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(log))]
