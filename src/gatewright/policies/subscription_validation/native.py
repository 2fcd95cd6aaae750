"""The native form of `subscription-validation`: a Lua filter hashes the token, an RBAC filter looks the hash up.

As `api-key-auth` does it, so that the cost of a request does not depend on the number of subscriptions. What Envoy
cannot do exactly goes to the engine: counting in fixed windows, so as long as an API has a subscription that a plan
may stop; cookies; and chains in which an earlier policy may change the header that is read. A plan that does not stop
changes no answer; its requests are not counted here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from google.protobuf.message import Message
from xds.type.matcher.v3 import matcher_pb2

from gatewright.model.credentials import Credential
from gatewright.model.gateway import Gateway
from gatewright.model.routes import PolicyUse, Route
from gatewright.model.subscriptions import Subscription
from gatewright.policies import rbac
from gatewright.policies.contract import NativeFilter
from gatewright.policies.lua import lua_filter
from gatewright.policies.subscription_validation.behaviour import cookie_of, forbidden_body, header_of

HASH_FILTER = "gatewright.subscription_validation.hash"
LOOKUP_FILTER = "gatewright.subscription_validation.lookup"
SUBSCRIPTION_HEADER = "x-gatewright-subscription"
_KEYS = "api-key-auth"
_SOURCE = "subscription"
_DENIED = "no subscription"


class NativeSubscriptionValidation:
    """Renders the two filters and their configuration on routes and scopes."""

    def fits(self, use: PolicyUse, chain: Sequence[PolicyUse]) -> bool:
        """No cookie; nothing but `api-key-auth` in front, and that must read another header."""
        header = header_of(use.params).lower()
        if cookie_of(use.params):
            return False
        before = chain[: list(chain).index(use)]
        return all(other.name == _KEYS and str(other.params.get("key", "")).lower() != header for other in before)

    def fits_credentials(self, credentials: Sequence[Credential]) -> bool:
        """Nothing has to be counted."""
        return not any(isinstance(one, Subscription) and one.is_limited for one in credentials)

    def filters(self, gateway: Gateway) -> Sequence[NativeFilter]:
        """Hash first, then look up."""
        del gateway
        return (
            NativeFilter(HASH_FILTER, lua_filter(_SOURCE, __package__, "subscription.lua")),
            NativeFilter(LOOKUP_FILTER, http_rbac_pb2.RBAC()),
        )

    def local_replies(self, gateway: Gateway) -> Sequence[Message]:
        """The 403 of the look-up says what the policy says."""
        del gateway
        return (rbac.answer("subscription-validation", _DENIED, status=403, body=forbidden_body()),)

    def route(self, route: Route, use: PolicyUse, gateway: Gateway) -> Mapping[str, Message]:
        """What to read on this route; the subscriptions come with the scope."""
        del gateway
        per_route = lua_pb2.LuaPerRoute(name=_SOURCE)
        context: dict[str, Any] = {"api": route.api_id, "header": header_of(use.params).lower()}
        if any(other.name == _KEYS for other in route.policies):
            context["keys"] = True
        per_route.filter_context.update(context)
        return {HASH_FILTER: per_route}

    def scope(self, credentials: Mapping[str, Sequence[Credential]], gateway: Gateway) -> Mapping[str, Message]:
        """The subscriptions of all APIs of a scope. Without any every request is denied."""
        del gateway
        entries: dict[str, matcher_pb2.Matcher.OnMatch] = {}
        for api_id in sorted(credentials):
            found = [one for one in credentials[api_id] if isinstance(one, Subscription)]
            for one in found:
                entries[f"{api_id}:{one.token_hash}"] = rbac.allow(one.subscription_id or "subscription")
            if any(one.application_id for one in found):
                # Only the script writes this, and only behind a key whose application has subscribed.
                entries[f"{api_id}:application"] = rbac.allow("application")
        return {LOOKUP_FILTER: rbac.lookup(SUBSCRIPTION_HEADER, entries, rbac.deny(_DENIED))}
