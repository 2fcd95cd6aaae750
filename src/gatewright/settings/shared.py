"""Root tables that several processes read: collector, analytics, tracing, api_key and small ones.

Reference: section 1.8. Pure data.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import SecretStr

from gatewright.settings.kinds import (
    Bool,
    Duration,
    Float,
    Int,
    Nanoseconds,
    Opaque,
    Secret,
    Section,
    Str,
    StrList,
    StrMap,
    between,
    key,
    not_blank,
    not_positive_means,
    one_of,
    positive,
    table,
)

_COLLECTING = "the collector is in use"
_TRACING = "tracing.enabled"
_MOESIF = "analytics publishes to moesif"


class CollectorServer(Section):
    """How Envoy hands access events over."""

    mode: Annotated[Str, one_of("uds", "tcp", "", when=_COLLECTING)] = key("uds", "Unix socket (also when empty), TCP.")
    host: Str = key("", "Original: host, for tcp.")
    port: Int = key(0, "Deprecated port override for tcp; 0: 18090.")
    server_port: Int = key(0, "The same, as the policy engine calls it.")
    buffer_flush_interval: Annotated[Nanoseconds, positive(_COLLECTING)] = key(
        timedelta(seconds=1),
        "Time after which buffered events are sent (nanoseconds).",
    )
    buffer_size_bytes: Annotated[Int, positive(_COLLECTING)] = key(16_384, "Buffered bytes that are sent at once.")
    grpc_request_timeout: Annotated[Nanoseconds, positive(_COLLECTING)] = key(
        timedelta(seconds=20),
        "Longest wait of one request (nanoseconds).",
    )
    shutdown_timeout: Annotated[Duration, positive(_COLLECTING)] = key(
        timedelta(seconds=600),
        "Time for sending what is left at shutdown.",
    )
    public_key_path: Str = key("", "Certificate file.")
    private_key_path: Str = key("", "Private key file.")
    als_plain_text: Bool = key(True, "No TLS.")
    max_message_size: Annotated[Int, positive(_COLLECTING)] = key(1_000_000_000, "Largest message (bytes).")
    max_header_limit: Annotated[Int, between(1, 2**32 - 1, _COLLECTING)] = key(8_192, "Largest headers (bytes).")


class Collector(Section):
    """What is captured of each request for analytics and traffic logs."""

    request_body: Bool = key(False, "Capture request bodies.")
    response_body: Bool = key(False, "Capture response bodies.")
    request_headers: Bool = key(False, "Capture all request headers.")
    response_headers: Bool = key(False, "Capture all response headers.")
    ignore_path_prefixes: StrList = key((), "Paths that leave no event and no traffic-log line.")
    server: CollectorServer = table(CollectorServer)


class Moesif(Section):
    """The Moesif publisher."""

    application_id: Annotated[Secret, not_blank(_MOESIF)] = key(SecretStr(""), "Application id.")
    moesif_base_url: Annotated[Str, not_blank(_MOESIF)] = key("https://api.moesif.net", "Address of the service.")
    publish_interval: Annotated[Int, positive(_MOESIF)] = key(5, "Seconds between two deliveries.")
    event_queue_size: Int = key(10_000, "Events kept while the service does not answer.")
    batch_size: Int = key(50, "Events in one delivery.")
    timer_wakeup_seconds: Int = key(3, "Seconds between two looks at the queue.")


class Publishers(Section):
    """Settings of the publishers."""

    moesif: Moesif = table(Moesif)


class Analytics(Section):
    """Publishing of request events."""

    enabled: Bool = key(False, "Publish events.")
    enabled_publishers: StrList = key(("moesif",), "Publishers in use.")
    publishers: Publishers = table(Publishers)
    allow_payloads: Bool = key(False, "Deprecated: collector.request_body and response_body.")
    send_request_body: Bool = key(False, "Deprecated: collector.request_body.")
    send_response_body: Bool = key(False, "Deprecated: collector.response_body.")
    grpc_event_server: Opaque = key({}, "Deprecated: collector.server.")
    access_logs_service: Opaque = key({}, "Deprecated: collector.server.")


class Tracing(Section):
    """Traces of changes and of requests, sent over OTLP gRPC."""

    enabled: Bool = key(False, "Send traces.")
    endpoint: Annotated[Str, not_blank(_TRACING)] = key("otel-collector:4317", "Collector as host:port.")
    insecure: Bool = key(True, "No TLS to the collector.")
    service_version: Str = key("1.0.0", "Version that traces carry.")
    batch_timeout: Annotated[Duration, positive(_TRACING)] = key(timedelta(seconds=1), "Time until a batch is sent.")
    max_export_batch_size: Annotated[Int, positive(_TRACING)] = key(512, "Spans in one batch.")
    sampling_rate: Float = key(1.0, "Share of requests traced: more than 0, up to 1.")
    resource_attributes: StrMap = key({}, "Further attributes of each span.")


class ApiKey(Section):
    """Limits of API keys."""

    api_keys_per_user_per_api: Annotated[Int, positive()] = key(10, "Keys that one user may have for one API.")
    algorithm: Annotated[Str, one_of("sha256", "", folded=True)] = key("sha256", "Hash under which keys are kept.")
    min_key_length: Annotated[Int, not_positive_means(36)] = key(36, "Shortest accepted key (characters).")
    max_key_length: Annotated[Int, not_positive_means(128)] = key(128, "Longest accepted key (characters).")
    issuer: Str = key("", "When set, only keys of this issuer, or of none, are accepted.")


class Subscriptions(Section):
    """Subscriptions to APIs."""

    enable_validation: Bool = key(False, "Check the subscription of each request.")


class ImmutableGateway(Section):
    """A gateway whose artifacts come from files only."""

    enabled: Bool = key(False, "Read artifacts from files, refuse changes. Needs storage type sqlite.")
    artifacts_dir: Str = key("/etc/api-platform-gateway/immutable_gateway/artifacts", "Folder of the artifacts.")


class Mcp(Section):
    """MCP proxies."""

    append_resource_path_to_backend: Bool = key(False, "Append /mcp to the back end's address, as before 1.2.")
