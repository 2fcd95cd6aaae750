"""subscription-validation in real Envoy: the same cases against both forms, and what only the engine does."""

import asyncio
import hashlib
import json
import socket
from contextlib import asynccontextmanager

import httpx2
import pytest
import pytest_asyncio
from envoy.config.route.v3 import scoped_route_pb2
from google.protobuf.json_format import MessageToDict

from gatewright.artifacts.restapi import RestApi
from gatewright.compile import compile_restapi
from gatewright.engine.feed import Feed
from gatewright.engine.server import Engine
from gatewright.envoy import ScopeIndex, render_all, render_credentials
from gatewright.envoy.policies import ENGINE_FILTER, planner
from gatewright.model.credentials import ApiKeyCredential
from gatewright.model.gateway import Gateway, Listener
from gatewright.model.subscriptions import LONGEST_TOKEN_BYTES, Subscription
from gatewright.policies.registry import installed
from gatewright.router.router import Router, RouterConfig
from gatewright.xds.delivery import Delivery
from gatewright.xds.local_source import LocalSource
from gatewright.xds.snapshot import Snapshot

REQUIRED = {"error": "forbidden", "message": "Subscription required for this API"}
NOTHING = {
    "error": "forbidden",
    "message": "Subscription required for this API: no subscription token or application identity provided",
}
UNAUTHORIZED = {"error": "Unauthorized", "message": "Valid API key required"}
LONG = "t" * LONGEST_TOKEN_BYTES


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def key(api_id, plain, **more):
    return ApiKeyCredential(api_id=api_id, name=plain, key_id=plain, key_hash=digest(plain), **more)


def subscription(api_id, token, **more):
    return Subscription(api_id=api_id, subscription_id=f"of-{token[:8]}", token_hash=digest(token), **more)


CREDENTIALS = {
    "api-1": [
        subscription("api-1", "token-one"),
        subscription("api-1", LONG),
        subscription("api-1", "tökën"),
        subscription("api-1", "soft", limit=1, window_s=60, stops=False),
    ],
    "api-2": [
        key("api-2", "key-of-subscriber", application_id="till", application_uuid="uuid-till"),
        key("api-2", "key-of-handle", application_id="desk", application_uuid="uuid-desk"),
        key("api-2", "key-of-stranger", application_id="other", application_uuid="uuid-other"),
        key("api-2", "key-of-nobody"),
        key("api-2", "key of/odd name", application_uuid="uuid-till"),
        key(
            "api-2",
            "key-of-disguised",
            application_id="0198f1d2-0000-7aaa-8bbb-000000000001",
            application_uuid="uuid-evil",
        ),
        subscription("api-2", "token-two"),
        subscription("api-2", "token-till", application_id="uuid-till"),
        subscription("api-2", "token-desk", application_id="desk"),
        subscription("api-2", "token-victim", application_id="0198f1d2-0000-7aaa-8bbb-000000000001"),
    ],
    "api-3": [
        key("api-3", "key-three"),
        subscription("api-3", "token-three"),
    ],
    "api-5": [
        subscription(
            "api-5", "three-a-minute", application_id="app-5", limit=3, window_s=60, stops=True, plan_name="P"
        ),
        subscription("api-5", "three-a-month", limit=3, window_s=30 * 86_400, stops=True),
        subscription("api-5", "three-at-will", limit=3, window_s=60, stops=False),
        subscription("api-5", "free"),
        key("api-5", "key-five", application_id="app-5"),
    ],
}


def key_auth(**params):
    return {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header", **params}}


def subscribed(**params):
    return {"name": "subscription-validation", "version": "v1", "params": params}


def document(handle, policies, operations):
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": {"name": handle},
        "spec": {
            "displayName": handle,
            "version": "v1",
            "context": f"/site/{handle}",
            "upstream": {"main": {"url": "http://127.0.0.1:BACKEND"}},
            "policies": policies,
            "operations": operations,
        },
    }


def get(path, *policies):
    return {"method": "GET", "path": path, "policies": list(policies)}


# One scope for all of them, so that neighbours with other policies are among the cases.
DOCUMENTS = {
    "api-1": document("one", [subscribed()], [get("/x"), get("/y")]),
    "api-2": document("two", [key_auth(), subscribed()], [get("/x")]),
    "api-3": document(
        "three", [], [
            get("/open"),
            get("/key", key_auth()),
            get("/sub", subscribed(subscriptionKeyHeader=" X-Sub ")),
            get("/blank", subscribed(subscriptionKeyHeader="  ")),
            get("/cookie", subscribed(subscriptionKeyCookie="Sub")),
            get("/late", subscribed(), key_auth()),
            get("/same", key_auth(key="Subscription-Key"), subscribed()),
            get("/maybe", {**subscribed(), "executionCondition": "'x-strict' in request.Headers"}),
        ],
    ),
    "api-4": document("four", [subscribed()], [get("/x")]),
    "api-5": document("five", [], [
        get("/x", subscribed(subscriptionKeyCookie="sub")),
        get("/y", subscribed()),
        get("/z", key_auth(), subscribed()),
    ]),
}  # fmt: skip


async def echo(reader, writer):
    """Answer every request with the headers it had."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")[1:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = json.dumps(headers).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """A router with its engine, fed from a snapshot."""

    def __init__(self, model, directory, *, backend_port):
        self.model = model
        self.index = ScopeIndex()
        self.credentials = dict(CREDENTIALS)
        self.snapshot = Snapshot()
        self.delivery = Delivery(self.snapshot)
        self.engine = Engine(directory / "engine.sock")
        self.router = Router(
            RouterConfig(state_dir=directory, concurrency=1, drain_time_s=0, engine_socket=directory / "engine.sock"),
            LocalSource(self.snapshot, self.delivery),
        )
        self.client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{model.listeners[0].port}/site")
        self._backend_port = backend_port

    def compiled(self, api_id):
        text = json.loads(json.dumps(DOCUMENTS[api_id]).replace("BACKEND", str(self._backend_port)))
        api = RestApi.from_document(text)
        return compile_restapi(api, api_id=api_id, gateway=self.model, catalogue=installed().catalogue)

    async def start(self):
        for api_id in DOCUMENTS:
            self.index.apply(api_id, self.compiled(api_id))
        self.snapshot.apply(render_all(self.index, credentials=self.credentials, gateway=self.model))
        await self.engine.start()
        await self.router.start()
        self.feed = Feed(self.router.snapshot, self.engine.credentials)
        assert await self.router.wait_ready(30), self.router.status()

    async def give(self, api_id, credentials):
        """Other credentials for an API; returns when Envoy has them."""
        self.credentials[api_id] = credentials
        changes = render_credentials(self.index, [api_id], credentials=self.credentials, gateway=self.model)
        applied = self.snapshot.apply(changes.put, changes.remove)
        settled = await self.delivery.settled(applied.versions, 20)
        assert [verdict.state for verdict in settled.routers] == ["accepted"]

    def form(self, api_id):
        """Where the first route of an API runs its policies."""
        plan = planner(self.credentials, self.model).plan(self.index.get(api_id).routes[0])
        return "native" if plan.native else "engine"

    async def get(self, path, **headers):
        return await self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def stop(self):
        await self.client.aclose()
        self.feed.close()
        await self.router.stop()
        await self.engine.stop()


@asynccontextmanager
async def running(directory, *, native):
    backend = await asyncio.start_server(echo, "127.0.0.1", 0)
    model = Gateway(listeners=(Listener("http", "127.0.0.1", free_port()),), native_policies=native)
    site = Site(model, directory, backend_port=backend.sockets[0].getsockname()[1])
    await site.start()
    try:
        yield site
    finally:
        await site.stop()
        backend.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["native", "engine"])
async def site(request, tmp_path_factory):
    async with running(tmp_path_factory.mktemp("router"), native=request.param == "native") as started:
        started.wanted = request.param
        yield started


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_cases_run_where_they_should(site):
    assert [site.form(api_id) for api_id in ("api-1", "api-2", "api-4")] == [site.wanted] * 3
    assert site.form("api-5") == "engine"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/one/x", {"Subscription-Key": "token-one"}),
        ("/one/x", {"subscription-key": "token-one"}),
        ("/one/y", {"Subscription-Key": LONG}),
        ("/one/x", {"Subscription-Key": "tökën".encode()}),
        ("/two/x", {"API-Key": "key-of-nobody", "Subscription-Key": "token-two"}),
        ("/two/x", {"API-Key": "key-of-stranger", "Subscription-Key": "token-two"}),
        ("/three/sub", {"X-Sub": "token-three"}),
        ("/three/blank", {"Subscription-Key": "token-three"}),
        ("/three/same", {"Subscription-Key": "key-three"}),
        ("/three/maybe", {"x-strict": "1", "Subscription-Key": "token-three"}),
    ],
)
@pytest.mark.conforms("DP-118", "PO-040")
async def test_a_token_of_an_active_subscription_passes_and_stays_here(site, path, headers):
    if path == "/three/same":
        # One value that is both key and token: the policies read what the client sent, not what the other one left.
        await site.give("api-3", [*CREDENTIALS["api-3"], subscription("api-3", "key-three")])
    response = await site.client.get(path, headers=headers)
    assert response.status_code == 200, response.text
    seen = response.json()
    assert not {"subscription-key", "x-sub", "api-key"} & seen.keys()
    assert not [name for name in seen if name.startswith("x-gatewright")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Subscription-Key": "unknown"},
        {"Subscription-Key": "token-two"},
        {"Subscription-Key": LONG + "t"},
        {"Subscription-Key": digest("token-one")},
        {"Subscription-Key": "a" + " " * 20_000 + "b"},
        {"Subscription-Key": "unknown", "x-gatewright-subscription": f"api-1:{digest('token-one')}"},
    ],
)
@pytest.mark.conforms("DP-116", "PO-039")
async def test_any_other_token_is_refused(site, headers):
    response = await site.client.get("/one/x", headers=headers)
    assert (response.status_code, response.json()) == (403, REQUIRED)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Subscription-Key": ""},
        {"API-Key": "token-one"},
        {"Cookie": "Subscription-Key=token-one"},
        {"x-gatewright-subscription": f"api-1:{digest('token-one')}"},
        {"x-gatewright-subscription": "api-1:application"},
        {"x-wso2-application-id": "till", "x-gatewright-application-uuid": "uuid-till"},
    ],
)
@pytest.mark.conforms("DP-115", "DP-124", "PO-038")
async def test_without_a_credential_the_answer_says_so(site, headers):
    response = await site.client.get("/one/x", headers=headers)
    assert (response.status_code, response.json()) == (403, NOTHING)
    assert response.headers["content-type"] == "application/json"


async def test_an_api_without_subscriptions_lets_nobody_in(site):
    assert (await site.get("/four/x", Subscription_Key="token-one")).json() == REQUIRED
    assert (await site.get("/four/x")).json() == NOTHING


@pytest.mark.parametrize("plain", ["key-of-subscriber", "key-of-handle", "key of/odd name"])
@pytest.mark.conforms("DP-119", "PO-014")
async def test_the_application_behind_a_key_is_a_credential(site, plain):
    response = await site.get("/two/x", API_Key=plain)
    assert response.status_code == 200, response.text
    assert "api-key" not in response.json()


@pytest.mark.parametrize(
    ("plain", "answer"),
    [
        ("key-of-stranger", REQUIRED),
        ("key-of-nobody", NOTHING),
        # A handle that is spelled like the UUID of another application does not open that one's doors.
        ("key-of-disguised", REQUIRED),
    ],
)
async def test_an_application_without_subscription_is_refused(site, plain, answer):
    response = await site.get("/two/x", API_Key=plain)
    assert (response.status_code, response.json()) == (403, answer)
    claimed = await site.get("/two/x", API_Key=plain, x_wso2_application_id="desk", x_wso2_application_name="desk")
    assert (claimed.status_code, claimed.json()) == (403, answer)


@pytest.mark.conforms("DP-117", "PO-041")
async def test_a_bad_token_is_not_saved_by_the_application(site):
    response = await site.get("/two/x", API_Key="key-of-subscriber", Subscription_Key="unknown")
    assert (response.status_code, response.json()) == (403, REQUIRED)


async def test_a_blank_token_is_none_and_the_application_counts(site):
    response = await site.get("/two/x", API_Key="key-of-subscriber", Subscription_Key="")
    assert response.status_code == 200


async def test_the_key_is_asked_for_first(site):
    wrong = await site.get("/two/x", API_Key="wrong", Subscription_Key="token-two")
    assert (wrong.status_code, wrong.json()) == (401, UNAUTHORIZED)
    without = await site.get("/two/x", Subscription_Key="token-two")
    assert (without.status_code, without.json()) == (401, UNAUTHORIZED)


async def test_neighbours_keep_to_their_own_policies(site):
    assert (await site.get("/three/open")).status_code == 200
    assert (await site.get("/three/key", API_Key="key-three")).status_code == 200
    assert (await site.get("/three/key")).json() == UNAUTHORIZED
    assert (await site.get("/three/sub", API_Key="key-three")).json() == NOTHING
    assert (await site.get("/three/maybe")).status_code == 200


async def test_of_several_values_the_first_counts(site):
    first = await site.client.get("/one/x", headers=[("Subscription-Key", "token-one"), ("Subscription-Key", "wrong")])
    second = await site.client.get("/one/x", headers=[("Subscription-Key", "wrong"), ("Subscription-Key", "token-one")])
    assert (first.status_code, second.status_code) == (200, 403)


@pytest.mark.conforms("DP-121")
async def test_a_plan_that_does_not_stop_lets_everything_pass(site):
    for path in ("/one/x", "/five/x"):
        token = "soft" if path == "/one/x" else "three-at-will"
        assert [(await site.get(path, Subscription_Key=token)).status_code for _ in range(6)] == [200] * 6


@pytest.mark.conforms("DP-117", "DP-118", "PO-040", "PO-041")
async def test_a_cookie_is_the_second_choice(site):
    async def sent(cookie, **more):
        return await site.client.get("/three/cookie", headers={"Cookie": cookie, **more})

    passed = await sent("a=1; SUB = token-three ; b=2")
    assert (passed.status_code, passed.json()["cookie"]) == (200, "a=1; b=2")
    alone = await sent("Sub=token-three")
    assert (alone.status_code, "cookie" in alone.json()) == (200, False)
    assert (await sent("Sub=wrong")).json() == REQUIRED
    assert (await sent("Sub=")).json() == NOTHING
    assert (await sent("a=1")).json() == NOTHING
    assert (await sent("Sub=token-three", **{"Subscription-Key": "wrong"})).json() == REQUIRED
    both = await sent("Sub=wrong; a=1", **{"Subscription-Key": "token-three"})
    assert (both.status_code, both.json()["cookie"]) == (200, "Sub=wrong; a=1")


async def test_a_subscription_check_before_the_key_knows_no_application(site):
    response = await site.get("/three/late", API_Key="key-three")
    assert (response.status_code, response.json()) == (403, NOTHING)


@pytest.mark.conforms("DP-120", "DP-122", "PO-042", "PO-043")
async def test_the_request_over_the_limit_is_refused_whatever_the_route(site):
    async def status(path, **headers):
        return (await site.client.get(path, headers=headers)).status_code

    allowed = [
        await status("/five/x", **{"Subscription-Key": "three-a-minute"}),
        await status("/five/x", Cookie="sub=three-a-minute"),
        await status("/five/y", **{"Subscription-Key": "three-a-minute"}),
    ]
    assert allowed == [200] * 3
    for path in ("/five/x", "/five/y"):
        refused = await site.get(path, Subscription_Key="three-a-minute")
        assert refused.status_code == 429
        assert refused.json() == {
            "error": "rate_limit_exceeded",
            "message": "Subscription quota exceeded: 3 requests per Min",
        }
        headers = refused.headers
        assert headers["content-type"] == "application/json"
        assert (headers["x-ratelimit-limit"], headers["ratelimit-limit"]) == ("3", "3")
        assert (headers["x-ratelimit-remaining"], headers["ratelimit-remaining"]) == ("0", "0")
        assert headers["ratelimit-policy"] == "3;w=60"
        assert 1 <= int(headers["retry-after"]) <= 60
        assert headers["ratelimit-reset"] == headers["ratelimit-full-quota-reset"] == headers["retry-after"]
        assert headers["x-ratelimit-reset"] == headers["x-ratelimit-full-quota-reset"]
    # The application of a key counts for itself; other subscriptions are not concerned.
    by_key = [await status("/five/z", **{"API-Key": "key-five"}) for _ in range(4)]
    assert by_key == [200, 200, 200, 429]
    free = await site.get("/five/x", Subscription_Key="free")
    assert free.status_code == 200
    assert not [name for name in free.headers if "ratelimit" in name]


async def test_a_month_is_spelled_as_the_original_does(site):
    answers = [await site.get("/five/x", Subscription_Key="three-a-month") for _ in range(4)]
    assert answers[-1].json()["message"] == "Subscription quota exceeded: 3 requests per 720h0m0s"
    assert answers[-1].headers["ratelimit-policy"] == "3;w=2592000"


@pytest.mark.asyncio(loop_scope="function")
async def test_counters_outlive_redeployments_and_the_way_back_to_envoy(tmp_path):
    limited = subscription("api-4", "scarce", limit=2, window_s=3600, stops=True)
    async with running(tmp_path, native=True) as site:
        assert site.form("api-4") == "native"
        await site.give("api-4", [limited])
        assert site.form("api-4") == "engine"
        assert (await site.get("/four/x", Subscription_Key="scarce")).status_code == 200

        # The API is taken away and comes back.
        for api in (None, site.compiled("api-4")):
            touched = site.index.apply("api-4", api)
            assert touched.scopes
            changes = render_credentials(site.index, ["api-1"], credentials=site.credentials, gateway=site.model)
            applied = site.snapshot.apply(changes.put)
            await site.delivery.settled(applied.versions, 20)
        answers = [(await site.get("/four/x", Subscription_Key="scarce")).status_code for _ in range(2)]
        assert answers == [200, 429]

        # Without a plan that stops it runs in Envoy, and the other way round the counter is still there.
        await site.give("api-4", [subscription("api-4", "scarce")])
        assert site.form("api-4") == "native"
        assert (await site.get("/four/x", Subscription_Key="scarce")).status_code == 200
        await site.give("api-4", [limited])
        assert (await site.get("/four/x", Subscription_Key="scarce")).status_code == 429
        await site.give("api-4", [])
        assert (await site.get("/four/x", Subscription_Key="scarce")).status_code == 403


@pytest.mark.asyncio(loop_scope="function")
async def test_the_engine_is_told_of_those_only_who_need_it():
    model = Gateway(listeners=(Listener("http", "127.0.0.1", 8080),))
    site = ScopeIndex()
    for api_id in ("api-1", "api-5"):
        text = json.loads(json.dumps(DOCUMENTS[api_id]).replace("BACKEND", "80"))
        api = RestApi.from_document(text)
        site.apply(api_id, compile_restapi(api, api_id=api_id, gateway=model, catalogue=installed().catalogue))
    scope = next(one for one in render_all(site, credentials=CREDENTIALS, gateway=model) if one.name == "/site")
    routes = scoped_route_pb2.ScopedRouteConfiguration.FromString(scope.body).route_configuration
    fields = MessageToDict(routes.metadata)["filterMetadata"][ENGINE_FILTER]
    assert list(json.loads(fields["subscriptions"])) == ["api-5"]
    assert "three-a-minute" not in json.dumps(fields)
