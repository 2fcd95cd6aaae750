"""The reference behaviour of `subscription-validation`. Source: policies reference 3.5, data plane reference 24."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gatewright.model.subscriptions import LONGEST_TOKEN_BYTES, Subscription
from gatewright.observability.logging import get_logger
from gatewright.policies import applications
from gatewright.policies.contract import Continue, Decision, RequestHeaders, Respond, Services
from gatewright.policies.counters import Window

DEFAULT_HEADER = "Subscription-Key"
NOTHING_PROVIDED = "no subscription token or application identity provided"
_REQUIRED = "Subscription required for this API"
_BLANKS = " \t\r\n\v\f"
_UNITS = {60: "Min", 3_600: "Hour", 86_400: "Day"}
_log = get_logger(__name__)


class SubscriptionValidation(msgspec.Struct, frozen=True):
    """Looks for a token in `header`, then in `cookie` (empty: none), then for the application of the API key.

    The first that is there decides.
    """

    header: str
    cookie: str = ""

    def on_request_headers(self, request: RequestHeaders, services: Services) -> Decision:
        """Continue without the token, answer 403 without an active subscription, 429 when its quota is used up."""
        api_id = request.api.api_id
        if not api_id.strip():
            return forbidden("API id is missing")
        token = (request.first(self.header) or "").strip(_BLANKS)
        if token:
            decision = _by_token(request, services, token)
            return _without(decision, {self.header.lower(): None})
        token = _cookie(request.headers.get("cookie", ()), self.cookie)
        if token:
            decision = _by_token(request, services, token)
            return _without(decision, {"cookie": _other_cookies(request.current("cookie"), self.cookie)})
        named = applications.names(request.metadata)
        if not named:
            return forbidden(NOTHING_PROVIDED)
        for name in named:
            found = services.credentials.subscription_of(api_id, name)
            if found is not None:
                return _admitted(found, services, f"{api_id}:a:{name}")
        return forbidden()


def header_of(params: Mapping[str, Any]) -> str:
    """The header to read; blank means the default."""
    return str(params.get("subscriptionKeyHeader") or "").strip() or DEFAULT_HEADER


def cookie_of(params: Mapping[str, Any]) -> str:
    """The cookie to read, empty for none."""
    return str(params.get("subscriptionKeyCookie") or "").strip()


def token_hash(token: str) -> str:
    """Lower-case hex SHA-256 of a token."""
    return hashlib.sha256(_bytes(token)).hexdigest()


def forbidden(detail: str = "") -> Respond:
    """403; without a detail, the token or the application is not one of an active subscription."""
    return Respond(status=403, headers=_JSON, body=forbidden_body(detail))


def forbidden_body(detail: str = "") -> bytes:
    """What a 403 says."""
    return _body("forbidden", f"{_REQUIRED}: {detail}" if detail else _REQUIRED)


_JSON = {"content-type": "application/json"}


def _body(error: str, message: str) -> bytes:
    return msgspec.json.encode({"error": error, "message": message})


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _by_token(request: RequestHeaders, services: Services, token: str) -> Decision:
    if len(_bytes(token)) > LONGEST_TOKEN_BYTES:
        return forbidden()
    api_id, hashed = request.api.api_id, token_hash(token)
    found = services.credentials.subscription(api_id, hashed)
    return forbidden() if found is None else _admitted(found, services, f"{api_id}:t:{hashed}")


def _admitted(found: Subscription, services: Services, key: str) -> Decision:
    if found.limit > 0 and found.window_s > 0:
        window = services.counters.count(f"subscription-validation:{key}", found.window_s)
        if window.count > found.limit:
            if found.stops:
                return _exceeded(found, window, services)
            if window.count == found.limit + 1:
                _log.warning("a subscription is over its quota; its plan lets it pass", api=found.api_id)
    metadata = {
        "x-wso2-subscription-status": "ACTIVE",
        "x-wso2-subscription-plan-name": found.plan_name,
        "x-wso2-billing-customer-id": found.billing_customer_id,
        "x-wso2-billing-subscription-id": found.billing_subscription_id,
    }
    return Continue(metadata={name: value for name, value in metadata.items() if value})


def _exceeded(found: Subscription, window: Window, services: Services) -> Respond:
    left = max(0, math.ceil(window.ends_in_s))
    reset = math.ceil(services.now() + window.ends_in_s)
    unit = _UNITS.get(found.window_s, f"{found.window_s // 3_600}h0m0s")
    headers = {
        **_JSON,
        "x-ratelimit-limit": str(found.limit),
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(reset),
        "x-ratelimit-full-quota-reset": str(reset),
        "ratelimit-limit": str(found.limit),
        "ratelimit-remaining": "0",
        "ratelimit-reset": str(left),
        "ratelimit-full-quota-reset": str(left),
        "ratelimit-policy": f"{found.limit};w={found.window_s}",
        "retry-after": str(max(1, left)),
    }
    message = f"Subscription quota exceeded: {found.limit} requests per {unit}"
    return Respond(status=429, headers=headers, body=_body("rate_limit_exceeded", message))


def _without(decision: Decision, changed: Mapping[str, str | None]) -> Decision:
    """A request that goes on does so without the token."""
    if isinstance(decision, Respond):
        return decision
    return msgspec.structs.replace(
        decision,
        set_headers={name: value for name, value in changed.items() if value is not None},
        remove_headers=tuple(name for name, value in changed.items() if value is None),
    )


def _pairs(values: Sequence[str]) -> list[tuple[str, str]]:
    """All cookies of all headers: the text of each, and its name in lower case."""
    texts = [text.strip(_BLANKS) for value in values for text in value.split(";")]
    return [(text, text.partition("=")[0].strip(_BLANKS).lower()) for text in texts if text]


def _cookie(values: Sequence[str], name: str) -> str:
    """The trimmed value of the first cookie of this name, letter case aside."""
    if not name:
        return ""
    for text, found in _pairs(values):
        if found == name.lower():
            return text.partition("=")[2].strip(_BLANKS)
    return ""


def _other_cookies(values: Sequence[str], name: str) -> str | None:
    """The header without these cookies; None when nothing is left."""
    return "; ".join(text for text, found in _pairs(values) if found != name.lower()) or None
