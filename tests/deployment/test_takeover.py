"""The gateway database of the original becomes ours: nothing is lost unsaid, and what was taken serves."""

import hashlib
import importlib.util
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.deployment.document_rules import KINDS
from gatewright.deployment.takeover.original import NotTheOriginals, Original, moment
from gatewright.deployment.takeover.taking import InTheWay, take_over
from gatewright.process.certificate import self_signed
from gatewright.store import (
    api_keys,
    applications,
    artifacts,
    certificates,
    llm_proxies,
    open_store,
    plans,
    secrets,
    subscriptions,
)
from gatewright.store.encryption import KeyRing

_FILE = Path(__file__).with_name("original_database.py")
if "original_database" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("original_database", _FILE)
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["original_database"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

from original_database import GATEWAY, GO_TIME, TIME, OriginalDatabase  # noqa: E402 - needs the lines above

KEYS = KeyRing([("aesgcm256-v1", b"k" * 32)])
AT = datetime(2026, 3, 1, 10, 20, 30, 123_456, tzinfo=UTC)
CREDENTIALS = {kind.kind: kind.credentials for kind in KINDS.values()}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def provider(key: str) -> dict[str, object]:
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "LlmProvider",
        "metadata": {"name": "llm"},
        "spec": {
            "displayName": "llm",
            "version": "v1.0",
            "template": "openai",
            "upstream": {"url": "https://llm", "auth": {"type": "api-key", "header": "Authorization", "value": key}},
            "accessControl": {"mode": "allow_all"},
        },
    }


@pytest.fixture
async def store(request, tmp_path):
    place = tmp_path / "ours.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = await open_store(place, keys=KEYS)
    yield opened
    await opened.close()


def fill(database, rest_api, tmp_path):
    database.add_artifact("rest_apis", "RestApi", "orders", {**rest_api("orders"), "status": {"state": "deployed"}})
    database.add_artifact(
        "rest_apis", "RestApi", "theirs", rest_api("theirs"), origin="control_plane", deployment_id="d1",
        desired_state="undeployed", cp_artifact_id="cp-1", cp_sync_status="success",
    )  # fmt: skip
    database.add_artifact("llm_provider_templates", "LlmProviderTemplate", "openai", {"metadata": {"name": "openai"}})
    database.add_artifact("llm_providers", "LlmProvider", "llm", provider("sk-plain"))
    database.add_artifact(
        "llm_proxies", "LlmProxy", "proxy", {"metadata": {"name": "proxy"}, "spec": {}}, provider_uuid="uuid-llm"
    )
    database.add_artifact("mcp_proxies", "Mcp", "mcp", {"metadata": {"name": "mcp"}, "spec": {}})
    key = {"masked_api_key": "***", "created_at": TIME, "updated_at": TIME}
    database.add("api_keys", uuid="k1", name="mine", api_key=digest("a"), artifact_uuid="uuid-orders", **key)
    database.add(
        "api_keys", uuid="k2", name="cp", api_key=digest("b"), artifact_uuid="uuid-theirs", source="external",
        expires_at=GO_TIME, issuer="portal", **key,
    )  # fmt: skip
    times = {"created_at": TIME, "updated_at": TIME}
    database.add("subscription_plans", uuid="p1", plan_name="Gold", throttle_limit_count=5,
                 throttle_limit_unit="MINUTE", stop_on_quota_reach=0, **times)  # fmt: skip
    database.add("subscriptions", uuid="s1", api_id="uuid-theirs", subscription_token_hash=digest("token"),
                 subscription_plan_id="p1", application_id="app", **times)  # fmt: skip
    database.add("applications", application_uuid="app", application_id="shop", application_name="Shop",
                 application_type="genai", **times)  # fmt: skip
    database.add("application_api_keys", application_uuid="app", api_key_id="k1", **times)
    pem, _ = self_signed(tmp_path / "ca", datetime.now(UTC))
    database.add("certificates", uuid="c1", name="ca", certificate=pem.encode(), subject="CN=x", issuer="CN=x",
                 not_before=TIME, not_after="2027-03-01T00:00:00Z", **times)  # fmt: skip
    database.add("secrets", handle="pw", display_name="pw", ciphertext=KEYS.encrypt(b"swordfish").encode(), **times)


async def taken_from(path, store, gateway_id=GATEWAY):
    with Original(path) as original:
        return await take_over(original, gateway_id, store, CREDENTIALS)


@pytest.mark.parametrize("release", ["1.1", "1.2"])
@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_everything_is_taken(release, store, rest_api, tmp_path):
    database = OriginalDatabase(tmp_path / "original.db", release)
    fill(database, rest_api, tmp_path)
    path = database.close()
    before = path.read_bytes()
    taken = await taken_from(path, store)
    assert taken.problems == []
    assert dict(taken.counts) == {
        "LlmProviderTemplate": 1, "LlmProvider": 1, "LlmProxy": 1, "RestApi": 2, "Mcp": 1, "ApiKey": 2,
        "SubscriptionPlan": 1, "Subscription": 1, "Application": 1, "Certificate": 1, "Secret": 1,
    }  # fmt: skip
    assert path.read_bytes() == before
    here = store.gateway_id

    def look(connection):
        return (
            {row.handle: row for row in artifacts.everything(connection, here)},
            {row.name: row for row in api_keys.active(connection, here)},
            plans.everything(connection, here),
            subscriptions.everything(connection, here),
            applications.keys_of(connection, here, "app"),
            llm_proxies.users(connection, here, "uuid-llm"),
            certificates.everything(connection, here),
            secrets.everything(connection, here),
        )

    found, keys, (plan,), (subscription,), of_app, users, (certificate,), (secret,) = await store.read(look)
    orders, theirs, llm = found["orders"], found["theirs"], found["llm"]
    assert orders.document == rest_api("orders")
    assert (orders.created_at, orders.deployed_at) == (AT, AT.replace(microsecond=123_000))
    assert orders.updated_at == AT.replace(microsecond=500_000)
    assert (theirs.origin, theirs.desired_state, theirs.deployment_id) == ("control_plane", "undeployed", "d1")
    assert (theirs.cp_artifact_id, theirs.cp_sync_status) == ("cp-1", "success")
    sealed = llm.document["spec"]["upstream"]["auth"]["value"]
    assert "sk-plain" not in sealed
    assert store.unseal(sealed) == "sk-plain"
    assert (keys["mine"].key_hash, keys["mine"].origin) == (digest("a"), "gateway_api")
    assert (keys["cp"].origin, keys["cp"].expires_at, keys["cp"].issuer) == (
        "control_plane",
        AT.replace(microsecond=500_000),
        "portal",
    )
    assert (plan.limit_count, plan.limit_unit, plan.stop_on_quota_reach) == (5, "MINUTE", False)
    assert (subscription.token_hash, subscription.plan_id) == (digest("token"), "p1")
    assert of_app == ["k1"]
    assert users == ["proxy"]
    assert certificate.certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert store.unseal(secret.ciphertext) == "swordfish"


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_what_cannot_be_taken_is_named_and_harms_nothing_else(store, rest_api, tmp_path):
    database = OriginalDatabase(tmp_path / "original.db")
    database.add_artifact("rest_apis", "RestApi", "good", rest_api("good"))
    database.add_artifact("rest_apis", "RestApi", "twin", rest_api("twin"), display_name="good")
    database.add_artifact("rest_apis", "WebSubApi", "events", {})
    database.add("artifacts", uuid="lost", kind="RestApi", handle="lost", display_name="lost", version="v1",
                 desired_state="deployed", origin="gateway_api")  # fmt: skip
    database.add_artifact("rest_apis", "RestApi", "text", rest_api("text"))
    database.connection.execute("UPDATE rest_apis SET configuration = 'no json' WHERE uuid = 'uuid-text'")
    database.add("api_keys", uuid="k", name="old", api_key="$argon2id$v=19", masked_api_key="***",
                 artifact_uuid="uuid-good", created_at=TIME, updated_at=TIME)  # fmt: skip
    other = KeyRing([("another", b"x" * 32)])
    database.add("secrets", handle="pw", display_name="pw", ciphertext=other.encrypt(b"v"), created_at=TIME)
    taken = await taken_from(database.close(), store)
    assert dict(taken.counts) == {"RestApi": 1}
    told = "\n".join(taken.problems)
    for words in (
        "1 artifacts of kind WebSubApi", "RestApi lost: its document is missing", "RestApi twin: another one",
        "RestApi text: its document is no JSON", "API key old of uuid-good: its hash is not SHA-256",
        "secret pw: key not found for version another", "Add the original's key file",
    ):  # fmt: skip
        assert words in told


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_only_an_unused_store_takes_over(store, rest_api, tmp_path):
    database = OriginalDatabase(tmp_path / "original.db")
    database.add_artifact("rest_apis", "RestApi", "good", rest_api("good"))
    path = database.close()
    await taken_from(path, store)
    with pytest.raises(InTheWay, match="already holds artifacts"):
        await taken_from(path, store)


@pytest.mark.parametrize("version", [0, 5, 77])
def test_other_files_are_refused(version, tmp_path):
    path = tmp_path / "some.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE artifacts (uuid TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    with pytest.raises(NotTheOriginals, match="is not the database"):
        Original(path)
    (tmp_path / "text").write_text("hello " * 1000)
    with pytest.raises(NotTheOriginals):
        Original(tmp_path / "text")
    with pytest.raises(NotTheOriginals, match="no file"):
        Original(tmp_path / "missing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01 10:20:30", timedelta()),
        ("2026-03-01T10:20:30Z", timedelta()),
        ("2026-03-01 12:20:30+02:00", timedelta()),
        ("2026-03-01 10:20:30.25 +0000 UTC", timedelta(milliseconds=250)),
        ("2026-03-01 12:20:30.25 +0200 CEST m=+12.5", timedelta(milliseconds=250)),
        (1772360430, timedelta()),
        (1772360430000, timedelta()),
    ],
)
def test_times_as_drivers_write_them(text, expected):
    assert moment(text) == datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC) + expected


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01 00:00:00", "2026-03-01"])
def test_what_is_no_time(text):
    with pytest.raises(ValueError, match=r"time|month"):
        moment(text)
