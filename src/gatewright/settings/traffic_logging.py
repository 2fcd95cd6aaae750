"""`traffic_logging`: one JSON line per request. Reference: section 1.8. Pure data."""

from datetime import timedelta
from typing import Annotated

from pydantic import SecretStr

from gatewright.settings.kinds import (
    Bool,
    Duration,
    Float,
    Int,
    Secret,
    Section,
    Str,
    StrList,
    StrMap,
    at_least,
    between,
    key,
    one_of,
    positive,
    table,
    zero_duration_means,
)

_HTTP = "traffic_logging writes to http"
_SECONDS_5 = timedelta(seconds=5)


class FileSink(Section):
    """Lines to a file."""

    path: Str = key("", "Absolute path of the file; required for this output.")
    max_size_mb: Annotated[Int, at_least(0)] = key(100, "Size at which the file is renamed (MiB); 0: never.")


class BearerAuth(Section):
    """A bearer token."""

    token: Secret = key(SecretStr(""), "Token.")


class BasicAuthentication(Section):
    """Basic authentication."""

    username: Str = key("", "User name.")
    password: Secret = key(SecretStr(""), "Password.")


class HeaderAuth(Section):
    """A header of one's own."""

    name: Str = key("", "Name of the header.")
    value: Secret = key(SecretStr(""), "Value of the header.")


class HttpAuth(Section):
    """How the gateway authenticates at the endpoint."""

    type: Annotated[Str, one_of("none", "bearer", "basic", "header", when=_HTTP)] = key("none", "Kind.")
    bearer: BearerAuth = table(BearerAuth)
    basic: BasicAuthentication = table(BasicAuthentication)
    header: HeaderAuth = table(HeaderAuth)
    allow_plaintext_credentials: Bool = key(False, "Read by the chart of the original only.")


class HttpTls(Section):
    """TLS to the endpoint; cert_file and key_file come together."""

    ca_file: Str = key("", "Trusted authorities.")
    cert_file: Str = key("", "Client certificate file.")
    key_file: Str = key("", "Client key file.")
    insecure_skip_verify: Bool = key(False, "Accept any certificate.")


class HttpSink(Section):
    """Lines to an HTTP endpoint, in batches."""

    endpoint: Str = key("", "URL of the endpoint; required for this output.")
    content_type: Str = key("application/x-ndjson", "Content type of a batch.")
    allow_insecure_transport: Bool = key(False, "Accept an http URL.")
    batch_max_events: Annotated[Int, positive(_HTTP)] = key(100, "Events in one batch.")
    batch_max_bytes: Annotated[Int, positive(_HTTP)] = key(1_048_576, "Bytes in one batch.")
    flush_interval: Annotated[Duration, positive(_HTTP)] = key(_SECONDS_5, "Time until a batch is sent.")
    queue_capacity: Annotated[Int, positive(_HTTP)] = key(10_000, "Events kept while the endpoint is away.")
    on_queue_full: Annotated[Str, one_of("drop_new", "drop_oldest", when=_HTTP)] = key("drop_new", "What is dropped.")
    request_timeout: Annotated[Duration, positive(_HTTP)] = key(timedelta(seconds=10), "Longest wait of one request.")
    max_retries: Annotated[Int, at_least(0, _HTTP)] = key(3, "Further attempts per batch.")
    retry_backoff: Annotated[Duration, at_least(0, _HTTP)] = key(timedelta(seconds=1), "Delay before a retry.")
    retry_abort_queue_ratio: Annotated[Float, between(0, 1, _HTTP)] = key(
        0.5,
        "Filling of the queue above which no retry is made; 0: never retry.",
    )
    auth: HttpAuth = table(HttpAuth)
    tls: HttpTls = table(HttpTls)


class TrafficLogging(Section):
    """The traffic log."""

    enabled: Bool = key(False, "Write the traffic log.")
    outputs: StrList = key(("stdout",), "stdout, file, http.")
    shutdown_timeout: Annotated[Duration, zero_duration_means(_SECONDS_5), at_least(0)] = key(
        _SECONDS_5,
        "Time for sending what is left at shutdown.",
    )
    masked_headers: StrList = key(("authorization", "x-api-key", "x-jwt-assertion"), "Headers never written.")
    max_payload_size: Annotated[Int, at_least(0)] = key(0, "Longest body written (bytes); 0: no limit.")
    request_headers: Bool = key(False, "Write the captured request headers.")
    request_body: Bool = key(False, "Write the captured request body.")
    response_headers: Bool = key(False, "Write the captured response headers.")
    response_body: Bool = key(False, "Write the captured response body.")
    exclude_fields: StrList = key((), "Keys or dotted paths left out.")
    properties: StrMap = key({}, "Own fields: literal, or $ctx: and an expression.")
    file: FileSink = table(FileSink)
    http: HttpSink = table(HttpSink)
