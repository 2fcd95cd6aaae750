"""The native form of `api-key-auth`: a Lua filter hashes the key, an RBAC filter looks the hash up.

The Lua filter (one for the whole gateway, so one Lua state per worker) writes `<api id>:<sha256>` into a private
header; the RBAC filter holds the hashes of all keys of a scope in one exact-match map, so the cost of a request does
not depend on the number of keys. A key with an expiry carries the time in its map entry, so that it ends on time
even while the controller is away. RBAC answers 403; a local reply turns that into the 401 of the policy. The name of
an entry, which RBAC leaves behind as metadata, tells `subscription-validation` whether the key's application has
subscribed to the API.
Measured: 20,000 keys in a scope cost a request as much as one.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from cel.expr import syntax_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from google.protobuf.message import Message
from xds.type.matcher.v3 import cel_pb2 as cel_matcher_pb2
from xds.type.matcher.v3 import http_inputs_pb2 as cel_inputs_pb2
from xds.type.matcher.v3 import matcher_pb2

from gatewright.model.credentials import ApiKeyCredential, Credential
from gatewright.model.gateway import Gateway
from gatewright.model.routes import PolicyUse, Route
from gatewright.model.subscriptions import Subscription
from gatewright.policies import applications, rbac
from gatewright.policies.api_key_auth.behaviour import REJECTION_BODY
from gatewright.policies.contract import NativeFilter
from gatewright.policies.lua import lua_filter

HASH_FILTER = "gatewright.api_key_auth.hash"
LOOKUP_FILTER = "gatewright.api_key_auth.lookup"
CREDENTIAL_HEADER = "x-gatewright-credential"
SUBSCRIBED = "/subscribed"
"""End of the name of an entry whose application has subscribed; `/application` of one that has not. Names have no other
slash."""

_SOURCE = "api-key"
_NO_KEY = "no key"
_EXPIRED = "expired key"


class NativeApiKeyAuth:
    """Renders the two filters and their configuration on routes and scopes."""

    def fits(self, use: PolicyUse, chain: Sequence[PolicyUse]) -> bool:
        """Always."""
        del use, chain
        return True

    def fits_credentials(self, credentials: Sequence[Credential]) -> bool:
        """Always."""
        del credentials
        return True

    def filters(self, gateway: Gateway) -> Sequence[NativeFilter]:
        """Hash first, then look up."""
        del gateway
        return (
            NativeFilter(HASH_FILTER, lua_filter(_SOURCE, __package__, "credential.lua")),
            NativeFilter(LOOKUP_FILTER, http_rbac_pb2.RBAC()),
        )

    def local_replies(self, gateway: Gateway) -> Sequence[Message]:
        """The 403 of the look-up becomes the policy's 401."""
        del gateway
        return (rbac.answer("api-key-auth", _NO_KEY, _EXPIRED, status=401, body=REJECTION_BODY),)

    def route(self, route: Route, use: PolicyUse, gateway: Gateway) -> Mapping[str, Message]:
        """What to read on this route; the keys come with the scope."""
        del gateway
        per_route = lua_pb2.LuaPerRoute(name=_SOURCE)
        context: dict[str, Any] = {"api": route.api_id, "header": str(use.params["key"]).lower()}
        prefix = str(use.params.get("valuePrefix") or "")
        if prefix:
            context["prefix"] = prefix.lower()
        per_route.filter_context.update(context)
        return {HASH_FILTER: per_route}

    def scope(self, credentials: Mapping[str, Sequence[Credential]], gateway: Gateway) -> Mapping[str, Message]:
        """The keys of all APIs of a scope. Without any key every request is denied."""
        entries: dict[str, matcher_pb2.Matcher.OnMatch] = {}
        for api_id in sorted(credentials):
            subscribers = {one.application_id for one in credentials[api_id] if isinstance(one, Subscription)}
            for credential in credentials[api_id]:
                if not isinstance(credential, ApiKeyCredential):
                    continue
                if gateway.api_key_issuer and credential.issuer != gateway.api_key_issuer:
                    continue
                entries[f"{api_id}:{credential.key_hash}"] = _entry(credential, subscribers)
        return {LOOKUP_FILTER: rbac.lookup(CREDENTIAL_HEADER, entries, rbac.deny(_NO_KEY))}


def _entry(credential: ApiKeyCredential, subscribers: Collection[str]) -> matcher_pb2.Matcher.OnMatch:
    name = quote(credential.key_id or credential.name, safe="")
    known_as = applications.names(applications.metadata_of(credential))
    if known_as:
        name += SUBSCRIBED if any(known in subscribers for known in known_as) else "/application"
    if credential.expires_at is None:
        return rbac.allow(name)
    limited = matcher_pb2.Matcher.OnMatch()
    field = limited.matcher.matcher_list.matchers.add()
    single = field.predicate.single_predicate
    single.input.name = "request"
    single.input.typed_config.Pack(cel_inputs_pb2.HttpAttributesCelMatchInput())
    before = cel_matcher_pb2.CelMatcher()
    before.expr_match.cel_expr_parsed.expr.CopyFrom(_request_before(credential.expires_at))
    single.custom_match.name = "before expiry"
    single.custom_match.typed_config.Pack(before, deterministic=True)
    field.on_match.CopyFrom(rbac.allow(name))
    limited.matcher.on_no_match.CopyFrom(rbac.deny(_EXPIRED))
    return limited


def _request_before(expiry: float) -> syntax_pb2.Expr:
    """`request.time < timestamp("...")` as a syntax tree; Envoy's matcher takes no text."""
    text = datetime.fromtimestamp(expiry, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    expression = syntax_pb2.Expr(id=1)
    expression.call_expr.function = "_<_"
    time = expression.call_expr.args.add(id=2)
    time.select_expr.operand.id = 3
    time.select_expr.operand.ident_expr.name = "request"
    time.select_expr.field = "time"
    limit = expression.call_expr.args.add(id=4)
    limit.call_expr.function = "timestamp"
    limit.call_expr.args.add(id=5).const_expr.string_value = text
    return expression
