"""The reference behaviour of api-key-auth, without any process."""

import hashlib

import pytest

from gatewright.engine.credentials import Credentials
from gatewright.model.credentials import ApiKeyCredential
from gatewright.policies.contract import ApiInfo, Continue, RequestHeaders, Respond, Services
from gatewright.policies.registry import installed

API = ApiInfo(api_id="api-1", operation_path="/x")


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def decide(headers, params=None, *, wanted="", **credential):
    policy = installed().get("api-key-auth", "v1.2.1")
    store = Credentials()
    known = ApiKeyCredential(api_id="api-1", name="k", key_hash=digest("apip_secret"), **credential)
    store.replace("api-1", [known])
    request = RequestHeaders(api=API, method="GET", path="/x", headers=headers)
    behaviour = policy.attach({"key": "API-Key", "in": "header", **(params or {})})
    return behaviour.on_request_headers(request, Services(credentials=store, api_key_issuer=wanted))


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"api-key": ["apip_secret"]}, {}),
        ({"api-key": ["  apip_secret\t"]}, {}),
        ({"api-key": ["Bearer apip_secret"]}, {"valuePrefix": "bearer"}),
        ({"api-key": ["apip_secret", "other"]}, {}),
    ],
)
def test_an_active_key_passes_and_its_header_stays_here(headers, params):
    decision = decide(headers, params)
    assert isinstance(decision, Continue)
    assert decision.remove_headers == ("api-key",)
    assert decision.auth.authenticated
    assert decision.auth.token_id == digest("apip_secret")


@pytest.mark.parametrize(
    ("headers", "params", "more"),
    [
        ({}, {}, {}),
        ({"api-key": [""]}, {}, {}),
        ({"api-key": ["   "]}, {}, {}),
        ({"api-key": ["apip_other"]}, {}, {}),
        ({"api-key": ["apip_secret"]}, {"valuePrefix": "Bearer"}, {}),
        ({"api-key": ["x" * 100_000]}, {}, {}),
        ({"api-key": ["apip_secret"]}, {}, {"expires_at": 1.0}),
        ({"api-key": ["apip_secret"]}, {}, {"issuer": "a", "wanted": "b"}),
        ({"api-key": ["apip_secret"]}, {}, {"issuer": None, "wanted": "b"}),
    ],
)
def test_all_reasons_look_the_same(headers, params, more):
    decision = decide(headers, params, **more)
    assert isinstance(decision, Respond)
    assert decision.status == 401
    assert decision.body == b'{"error":"Unauthorized","message":"Valid API key required"}'
    assert decision.headers == {"content-type": "application/json"}
    assert not decision.auth.authenticated
