"""A resource as it travels to Envoy."""

import hashlib
from typing import Any

import msgspec
from google.protobuf import any_pb2, duration_pb2

TYPE_PREFIX = "type.googleapis.com/"
CLUSTER = TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
LISTENER = TYPE_PREFIX + "envoy.config.listener.v3.Listener"
SECRET = TYPE_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
ROUTES = TYPE_PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPE = TYPE_PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"


class Resource(msgspec.Struct, frozen=True):
    """`body` is the serialised message; `version` its digest, 16 hex digits. (`type_url`, `name`) is the identity."""

    type_url: str
    name: str
    version: str
    body: bytes

    def __repr__(self) -> str:
        """Without the body, which may hold private keys."""
        return f"Resource({self.type_url.rpartition('.')[2]} {self.name!r} {self.version})"


def resource(message: Any) -> Resource:  # noqa: ANN401 - the generated messages have no types
    """Serialise a message that has a name."""
    body = message.SerializeToString(deterministic=True)
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Resource(TYPE_PREFIX + message.DESCRIPTOR.full_name, message.name, digest, body)


def packed(message: Any) -> any_pb2.Any:  # noqa: ANN401 - the generated messages have no types
    """The message in an `Any`, with the same bytes for equal content."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message, deterministic=True)
    return wrapped


def duration(milliseconds: int) -> duration_pb2.Duration:
    """Milliseconds as a Duration."""
    return duration_pb2.Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)
