"""What a policy is made of, and what it may see and answer. Written for authors of policies."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from google.protobuf.message import Message

from gatewright.artifacts.policies import PolicyDefinition
from gatewright.model.credentials import ApiKeyCredential, Credential
from gatewright.model.gateway import Gateway
from gatewright.model.routes import PolicyUse, Route
from gatewright.model.subscriptions import Subscription
from gatewright.policies.counters import FixedWindows


class ApiInfo(msgspec.Struct, frozen=True):
    """Which API and which operation a request belongs to."""

    api_id: str
    name: str = ""
    version: str = ""
    context: str = ""
    operation_path: str = ""


class AuthContext(msgspec.Struct, frozen=True):
    """What is known about the caller. `previous` is the context that this one replaced."""

    authenticated: bool
    auth_type: str
    token_id: str = ""
    properties: Mapping[str, str] = {}
    previous: "AuthContext | None" = None


class RequestHeaders(msgspec.Struct, frozen=True):
    """A request as the client sent it. Header names are lower case; every name holds all its values in order.

    `metadata` is what earlier policies of the chain have left for later ones, `changed` what they have made of headers
    (None: removed).
    """

    api: ApiInfo
    method: str
    path: str
    headers: Mapping[str, Sequence[str]]
    auth: AuthContext | None = None
    metadata: Mapping[str, str] = {}
    changed: Mapping[str, str | None] = {}

    def first(self, name: str) -> str | None:
        """First value of a header as the client sent it, None when it is absent."""
        values = self.headers.get(name.lower())
        return values[0] if values else None

    def current(self, name: str) -> Sequence[str]:
        """Values of a header as the upstream would see it now."""
        lower = name.lower()
        if lower in self.changed:
            value = self.changed[lower]
            return () if value is None else (value,)
        return self.headers.get(lower, ())


class Continue(msgspec.Struct, frozen=True):
    """Go on, with these changes towards the upstream."""

    set_headers: Mapping[str, str] = {}
    remove_headers: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}
    auth: AuthContext | None = None


class Respond(msgspec.Struct, frozen=True):
    """Answer now; later policies and the upstream see nothing."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    auth: AuthContext | None = None


Decision = Continue | Respond


class CredentialStore(Protocol):
    """Look-up of credentials by hash; the engine keeps it up to date."""

    def find(self, api_id: str, key_hash: str) -> ApiKeyCredential | None:
        """The key of this API with this hash, None when there is none."""
        ...

    def subscription(self, api_id: str, token_hash: str) -> Subscription | None:
        """The active subscription of this API with this hash of its token."""
        ...

    def subscription_of(self, api_id: str, application: str) -> Subscription | None:
        """The active subscription of this API that names this application."""
        ...


class Services(msgspec.Struct, frozen=True):
    """What a behaviour may use besides the request. `counters` outlive the chains that count with them."""

    credentials: CredentialStore
    api_key_issuer: str = ""
    counters: FixedWindows = msgspec.field(default_factory=FixedWindows)

    def now(self) -> float:
        """Wall clock in Unix seconds."""
        return time.time()


class Behaviour(Protocol):
    """One attached policy with its parameters. Shared by all requests of a route; must not keep per-request state."""

    def on_request_headers(self, request: RequestHeaders, services: Services) -> Decision:
        """Decide on the headers of a request."""
        ...


class NativeFilter(msgspec.Struct, frozen=True):
    """A filter of the connection manager. It is off unless a route or a scope configures it."""

    name: str
    config: Message


class NativeForm(Protocol):
    """The same behaviour in Envoy's own filters."""

    def fits(self, use: PolicyUse, chain: Sequence[PolicyUse]) -> bool:
        """Whether the filters do exactly what the behaviour does, with these parameters at this place of a chain."""
        ...

    def fits_credentials(self, credentials: Sequence[Credential]) -> bool:
        """Whether they do so while these are the credentials of the API."""
        ...

    def filters(self, gateway: Gateway) -> Sequence[NativeFilter]:
        """Filters that must stand before the router, in this order."""
        ...

    def local_replies(self, gateway: Gateway) -> Sequence[Message]:
        """`ResponseMapper` messages that shape what the filters answer."""
        ...

    def route(self, route: Route, use: PolicyUse, gateway: Gateway) -> Mapping[str, Message]:
        """Configuration of the filters on one route, by filter name."""
        ...

    def scope(self, credentials: Mapping[str, Sequence[Credential]], gateway: Gateway) -> Mapping[str, Message]:
        """Configuration shared by all routes of a scope that use the policy, by filter name."""
        ...


class Policy(Protocol):
    """A policy as the gateway loads it. `native` None means: runs in the engine only."""

    @property
    def definition(self) -> PolicyDefinition:
        """Name, version and parameter schemas."""
        ...

    @property
    def native(self) -> NativeForm | None:
        """The accelerator, where Envoy can do exactly the same."""
        ...

    def attach(self, params: Mapping[str, Any]) -> Behaviour:
        """The behaviour for one attachment. `params` are already valid."""
        ...
