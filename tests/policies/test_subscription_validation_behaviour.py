"""The reference behaviour of subscription-validation, without any process."""

import hashlib
import json

import msgspec
import pytest

from gatewright.engine.chains import Attached, ReadyChain, run
from gatewright.engine.credentials import Credentials
from gatewright.model.credentials import ApiKeyCredential
from gatewright.model.subscriptions import LONGEST_TOKEN_BYTES, Subscription
from gatewright.policies.contract import ApiInfo, Continue, RequestHeaders, Respond, Services
from gatewright.policies.counters import FixedWindows
from gatewright.policies.registry import installed

API = ApiInfo(api_id="api-1", operation_path="/x")
NOW = 1_800_000_000.0


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class At(Services, frozen=True):
    """The wall clock stands still."""

    def now(self):
        return NOW


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def subscription(token="token", **more):
    return Subscription(api_id="api-1", subscription_id=f"of {token}", token_hash=digest(token), **more)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def services(clock):
    def make(*subscriptions, keys=()):
        store = Credentials()
        store.replace("api-1", keys, subscriptions)
        return At(credentials=store, counters=FixedWindows(clock))

    return make


def attached(**params):
    return installed().get("subscription-validation", "v1.0.3").attach(params)


def request(headers=None, **more):
    return RequestHeaders(api=API, method="GET", path="/x", headers=headers or {}, **more)


def message(decision):
    assert isinstance(decision, Respond)
    assert decision.headers["content-type"] == "application/json"
    return json.loads(decision.body)["message"]


@pytest.mark.parametrize("header", ["Subscription-Key", "  ", ""])
def test_the_token_is_trimmed_and_removed(services, header):
    decision = attached(subscriptionKeyHeader=header).on_request_headers(
        request({"subscription-key": [" \ttoken ", "other"]}), services(subscription())
    )
    assert isinstance(decision, Continue)
    assert decision.remove_headers == ("subscription-key",)


def test_a_blank_header_is_none(services):
    decision = attached().on_request_headers(request({"subscription-key": ["  "]}), services(subscription()))
    assert message(decision).endswith("no subscription token or application identity provided")


@pytest.mark.parametrize("token", ["other", "x" * (LONGEST_TOKEN_BYTES + 1), digest("token")])
def test_an_unknown_token_is_refused(services, token):
    decision = attached().on_request_headers(request({"subscription-key": [token]}), services(subscription()))
    assert (decision.status, message(decision)) == (403, "Subscription required for this API")
    assert decision.body == b'{"error":"forbidden","message":"Subscription required for this API"}'


def test_without_an_api_nothing_is_looked_up(services):
    nowhere = msgspec.structs.replace(request({"subscription-key": ["token"]}), api=ApiInfo(api_id=" "))
    decision = attached().on_request_headers(nowhere, services(subscription()))
    assert message(decision) == "Subscription required for this API: API id is missing"


def test_what_is_known_of_the_subscription_is_left_for_others(services):
    known = subscription(plan_name="Gold", billing_customer_id="cus")
    decision = attached().on_request_headers(request({"subscription-key": ["token"]}), services(known))
    assert decision.metadata == {
        "x-wso2-subscription-status": "ACTIVE",
        "x-wso2-subscription-plan-name": "Gold",
        "x-wso2-billing-customer-id": "cus",
    }


@pytest.mark.parametrize(
    ("cookies", "left"),
    [
        (["sub=token"], None),
        (["a=1; SUB= token ;b=2"], "a=1; b=2"),
        (["a=1", "b=2; Sub=token", "c=3"], "a=1; b=2; c=3"),
        (["sub=token; sub=other; a=1"], "a=1"),
        (["subs=x;sub=token;;  ;a"], "subs=x; a"),
    ],
)
def test_the_cookie_is_taken_out(services, cookies, left):
    decision = attached(subscriptionKeyCookie="Sub").on_request_headers(
        request({"cookie": cookies}), services(subscription())
    )
    assert isinstance(decision, Continue)
    assert decision.set_headers == ({} if left is None else {"cookie": left})
    assert decision.remove_headers == (("cookie",) if left is None else ())


def test_a_cookie_leaves_the_header_as_earlier_policies_made_it(services):
    changed = request({"cookie": ["sub=token; a=1"]}, changed={"cookie": "b=2; sub=token"})
    decision = attached(subscriptionKeyCookie="sub").on_request_headers(changed, services(subscription()))
    assert decision.set_headers == {"cookie": "b=2"}


def test_the_token_that_the_client_sent_counts_whatever_earlier_policies_did(services):
    changed = request({"subscription-key": ["token"]}, changed={"subscription-key": "other"})
    assert isinstance(attached().on_request_headers(changed, services(subscription())), Continue)
    forged = request({}, changed={"subscription-key": "token"})
    assert isinstance(attached().on_request_headers(forged, services(subscription())), Respond)


def chain(*policies):
    behaviours = [installed().get(name, version).attach(params) for name, version, params in policies]
    return ReadyChain(API, tuple(Attached(behaviour, None) for behaviour in behaviours))


def test_the_application_of_the_key_reaches_the_next_policy(services):
    key = ApiKeyCredential(
        api_id="api-1", name="k", key_hash=digest("key"), application_id="till", application_uuid="uuid"
    )
    both = chain(
        ("api-key-auth", "v1.2.1", {"key": "API-Key", "in": "header"}), ("subscription-validation", "v1.0.3", {})
    )
    sent = request({"api-key": ["key"]})
    for application in ("till", "uuid"):
        decision = run(both, sent, services(subscription(application_id=application), keys=[key]))
        assert isinstance(decision, Continue)
        assert decision.remove_headers == ("api-key",)
        assert decision.metadata["x-wso2-application-id"] == "till"
        assert decision.metadata["x-wso2-subscription-status"] == "ACTIVE"
    refused = run(both, sent, services(subscription(application_id="other"), keys=[key]))
    assert message(refused) == "Subscription required for this API"


def test_of_two_subscriptions_of_one_application_the_first_counts(services):
    both = services(subscription("one", application_id="a", plan_name="P1"), subscription("two", application_id="a"))
    decision = attached().on_request_headers(request(metadata={"x-wso2-application-id": " a "}), both)
    assert decision.metadata["x-wso2-subscription-plan-name"] == "P1"


def test_the_quota_counts_refused_requests_and_begins_anew(services, clock):
    known = services(subscription(limit=2, window_s=60, stops=True))

    def status():
        decision = attached().on_request_headers(request({"subscription-key": ["token"]}), known)
        return decision.status if isinstance(decision, Respond) else 200

    assert [status() for _ in range(4)] == [200, 200, 429, 429]
    clock.now += 59.5
    decision = attached().on_request_headers(request({"subscription-key": ["token"]}), known)
    assert decision.headers == {
        "content-type": "application/json",
        "x-ratelimit-limit": "2",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "1800000001",
        "x-ratelimit-full-quota-reset": "1800000001",
        "ratelimit-limit": "2",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "1",
        "ratelimit-full-quota-reset": "1",
        "ratelimit-policy": "2;w=60",
        "retry-after": "1",
    }
    assert (
        decision.body == b'{"error":"rate_limit_exceeded","message":"Subscription quota exceeded: 2 requests per Min"}'
    )
    clock.now += 0.5
    assert [status() for _ in range(3)] == [200, 200, 429]


def test_other_limits_do_not_reset_the_counter(services):
    first = services(subscription(limit=5, window_s=60, stops=True))
    send = request({"subscription-key": ["token"]})
    for _ in range(3):
        assert isinstance(attached().on_request_headers(send, first), Continue)
    first.credentials.replace("api-1", (), [subscription(limit=3, window_s=60, stops=True)])
    assert attached().on_request_headers(send, first).status == 429


@pytest.mark.parametrize(("window_s", "unit"), [(60, "Min"), (3_600, "Hour"), (86_400, "Day"), (2_592_000, "720h0m0s")])
def test_units(services, window_s, unit):
    known = services(subscription(limit=1, window_s=window_s, stops=True))
    for _ in range(2):
        decision = attached().on_request_headers(request({"subscription-key": ["token"]}), known)
    assert message(decision) == f"Subscription quota exceeded: 1 requests per {unit}"


@pytest.mark.parametrize("more", [{"limit": 1, "window_s": 60, "stops": False}, {"limit": 1, "stops": True}, {}])
def test_nothing_stops_without_a_limit_that_stops(services, more):
    known = services(subscription(**more))
    for _ in range(3):
        assert isinstance(attached().on_request_headers(request({"subscription-key": ["token"]}), known), Continue)
