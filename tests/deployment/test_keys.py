"""API keys through the management side and through events of a control plane."""

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from gatewright.deployment import Caller, ExpiresIn, KeyRequest, key_material
from gatewright.deployment.results import (
    Conflict,
    KeyApplied,
    KeyIgnored,
    KeyNotFound,
    KeyRefused,
    KeyRevoked,
    KeyStale,
    NotFound,
)

KIND = "RestApi"
ALICE, BOB, ADMIN = Caller("alice"), Caller("bob"), Caller("root", admin=True)
CP = "23826f9e-8daf-4638-b295-14898312759f"


@pytest.fixture
async def api(deployments, rest_api):
    stored = await deployments.create(KIND, rest_api("shop-v1.0"), correlation_id="c", actor="admin")
    return stored.row


@pytest.fixture
def make_key(deployments, api):
    async def make(caller=ALICE, **request):
        if "plain_key" in request:
            request["plain_key"] = SecretStr(request["plain_key"])
        return await deployments.create_key(KIND, api.handle, KeyRequest(**request), caller=caller, correlation_id="c")

    return make


async def refused(awaitable):
    with pytest.raises(KeyRefused) as problem:
        await awaitable
    return problem.value.reason, problem.value.message


async def test_a_generated_key_is_shown_once_and_kept_as_a_hash(deployments, make_key, store):
    created = await make_key(name="till")
    plain = created.plain_key.get_secret_value()
    assert re.fullmatch(r"apip_[0-9a-f]{64}", plain)
    assert created.row.key_hash == hashlib.sha256(plain.encode()).hexdigest()
    assert created.row.masked_key == f"***{plain[-5:]}"
    assert (created.row.source, created.row.status, created.row.expires_at) == ("local", "active", None)
    assert created.remaining == 9


@pytest.mark.conforms("MG-132")
async def test_no_plain_key_is_in_the_database_file(make_key, store):
    generated = (await make_key(name="till")).plain_key.get_secret_value()
    await make_key(name="partner", plain_key="a secret of a partner 0123456789")
    if store.path is None:
        return  # a server has no file to look into
    content = b"".join(path.read_bytes() for path in store.path.parent.iterdir() if path.is_file())
    assert key_material.hash_of(generated).encode() in content
    assert generated.encode() not in content
    assert b"a secret of a partner" not in content


async def test_a_given_key_is_external_and_trimmed(make_key):
    created = await make_key(name="partner", plain_key="  partner-key-0123  ", issuer=" portal ", external_ref_id="x")
    assert created.plain_key is None
    assert created.row.source == "external"
    assert created.row.key_hash == hashlib.sha256(b"partner-key-0123").hexdigest()
    assert (created.row.issuer, created.row.external_ref_id, created.row.masked_key) == ("portal", "x", "***-0123")


@pytest.mark.parametrize("plain", ["12345", "1"])
def test_short_keys_are_masked_completely(plain):
    assert key_material.mask_of(plain) == "********"


@pytest.mark.parametrize("name", ["my-api-key_v1", "abc", "a1b", "x" * 63])
async def test_good_names(make_key, name):
    assert (await make_key(name=name)).row.name == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ab", "too short"),
        ("x" * 64, "too long"),
        ("Upper", "lowercase"),
        ("a--b", "consecutive"),
        ("-abc", "hyphen"),
        ("abc_", "hyphen"),
        ("a.bc", "lowercase"),
    ],
)
async def test_bad_names(make_key, name, words):
    reason, message = await refused(make_key(name=name))
    assert reason == "NAME"
    assert words in message
    assert message.startswith("failed to generate API key: invalid name: API key name ")


async def test_a_name_is_made_out_of_the_handle(make_key):
    names = {(await make_key(name=given)).row.name for given in (None, "", "  ")}
    assert len(names) == 3
    assert all(re.match(r"shop-v10-key-", name) for name in names)


@pytest.mark.parametrize("handle", ["a" * 300, "ÄÖÜ", "___", "a b", "Shop.v1"])
def test_made_names_are_always_valid(handle):
    for _ in range(50):
        name = key_material.suggest_name(handle)
        assert len(name) <= 63
        key_material.check_name(name)


async def test_the_same_name_replaces_the_key(deployments, api, make_key):
    first = await make_key(name="till")
    second = await make_key(name="till")
    (row,) = await deployments.list_keys(KIND, api.handle, caller=ALICE)
    assert row == second.row
    assert row.key_hash != first.row.key_hash
    assert row.created_at == first.row.created_at
    assert second.action == "UPDATE"
    assert second.remaining == first.remaining == 9


async def test_another_user_cannot_take_a_name_over(make_key):
    await make_key(name="till")
    assert (await refused(make_key(BOB, name="till")))[0] == "NOT_OWNER"
    assert (await make_key(ADMIN, name="till")).row.created_by == "alice"


async def test_a_value_is_used_once_per_gateway(deployments, make_key, rest_api):
    await make_key(name="one", plain_key="the same value for both")
    with pytest.raises(Conflict) as conflict:
        await make_key(name="two", plain_key="the same value for both")
    assert conflict.value.message == (
        "failed to save API key to database: configuration already exists: API key value already exists"
    )
    await deployments.create(KIND, rest_api("other"), correlation_id="c", actor="a")
    with pytest.raises(Conflict):
        await deployments.create_key(
            KIND,
            "other",
            KeyRequest(plain_key=SecretStr("the same value for both")),
            caller=ALICE,
            correlation_id="c",
        )
    again = await make_key(name="one", plain_key="the same value for both")
    assert again.row.name == "one"


async def test_the_limit_is_per_user_and_api(make_key, clock):
    for number in range(10):
        created = await make_key(name=f"key-{number}", expires_in=ExpiresIn(1, "seconds"))
    assert created.remaining == 0
    clock.forward(timedelta(minutes=1))  # expired keys count on
    reason, message = await refused(make_key(name="one-more"))
    assert reason == "LIMIT"
    assert message == "API key limit exceeded: user has 10 active keys, maximum allowed is 10"
    assert (await make_key(BOB, name="one-more")).remaining == 9


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("seconds", 1), ("minutes", 60), ("hours", 3600), ("days", 86400), ("weeks", 604800), ("months", 2592000)],
)
async def test_relative_expiries(make_key, clock, unit, seconds):
    created = await make_key(name="till", expires_in=ExpiresIn(2, unit))
    assert created.row.expires_at == clock() + timedelta(seconds=2 * seconds)


async def test_expiries_that_are_refused(make_key, clock):
    assert (await refused(make_key(name="till", expires_in=ExpiresIn(1, "years"))))[0] == "EXPIRY_UNIT"
    assert (await refused(make_key(name="till", expires_in=ExpiresIn(0, "days"))))[0] == "EXPIRY_PAST"
    assert (await refused(make_key(name="till", expires_in=ExpiresIn(10**12, "months"))))[0] == "EXPIRY_INVALID"
    assert (await refused(make_key(name="till", expires_at=clock())))[0] == "EXPIRY_PAST"
    both = await make_key(name="till", expires_at=clock() + timedelta(days=1), expires_in=ExpiresIn(1, "years"))
    assert both.row.expires_at == clock() + timedelta(days=1)


async def test_unknown_parents_and_keys(deployments, api):
    for call in (deployments.update_key, deployments.regenerate_key):
        request = KeyRequest(plain_key=SecretStr("x" * 40))
        with pytest.raises(NotFound, match="API configuration handle 'nope' not found"):
            await call(KIND, "nope", "till", request, caller=ALICE, correlation_id="c")
        with pytest.raises(KeyNotFound, match=r"API key 'till' not found for API 'shop-v1\.0'"):
            await call(KIND, api.handle, "till", request, caller=ALICE, correlation_id="c")
    with pytest.raises(NotFound):
        await deployments.revoke_key(KIND, "nope", "till", caller=ALICE, correlation_id="c")
    with pytest.raises(NotFound):
        await deployments.list_keys(KIND, "nope", caller=ALICE)


async def test_update_of_external_keys_only_and_by_their_owner(deployments, api, make_key):
    async def update(key, caller=ALICE, **request):
        if "plain_key" in request:
            request["plain_key"] = SecretStr(request["plain_key"])
        return await deployments.update_key(
            KIND, api.handle, key, KeyRequest(**request), caller=caller, correlation_id="c"
        )

    await make_key(name="local")
    await make_key(name="ext", plain_key="first value of it", expires_in=ExpiresIn(1, "days"), external_ref_id="r")
    assert (await refused(update("ext")))[0] == "VALUE_REQUIRED"
    assert (await refused(update("local", plain_key="new")))[0] == "LOCAL_KEY"
    assert (await refused(update("ext", ADMIN, plain_key="new")))[0] == "NOT_OWNER"
    assert (await refused(update("ext", plain_key="new", name="other")))[0] == "NAME_MISMATCH"
    await make_key(name="third", plain_key="third value")
    with pytest.raises(Conflict, match="failed to update API key in database"):
        await update("ext", plain_key="third value")
    changed = (await update("ext", plain_key="second value of it")).row
    assert changed.key_hash == key_material.hash_of("second value of it")
    assert (changed.expires_at, changed.external_ref_id) == (None, None)


async def test_regeneration_keeps_expiry_and_source(deployments, api, make_key, clock):
    first = await make_key(name="till", expires_in=ExpiresIn(1, "days"))

    async def regenerate(caller=ALICE, **request):
        return await deployments.regenerate_key(
            KIND, api.handle, "till", KeyRequest(**request), caller=caller, correlation_id="c"
        )

    second = await regenerate()
    assert second.row.key_hash != first.row.key_hash
    assert (second.row.expires_at, second.row.source) == (first.row.expires_at, "local")
    assert re.fullmatch(r"apip_[0-9a-f]{64}", second.plain_key.get_secret_value())
    assert (await refused(regenerate(ADMIN)))[0] == "NOT_OWNER"
    clock.forward(timedelta(days=2))
    assert (await refused(regenerate()))[0] == "EXPIRY_PAST"
    assert (await regenerate(expires_in=ExpiresIn(1, "days"))).row.expires_at == clock() + timedelta(days=1)


async def test_revocation(deployments, api, make_key):
    await make_key(name="till")

    async def revoke(caller):
        return await deployments.revoke_key(KIND, api.handle, "till", caller=caller, correlation_id="c")

    assert (await refused(revoke(BOB)))[0] == "NOT_OWNER"
    assert (await revoke(ADMIN)).change.action == "DELETE"
    assert await revoke(ALICE) == KeyRevoked(None)
    assert await deployments.keys_of(api.uuid) == []


async def test_lists_show_own_keys_or_all(deployments, api, make_key, clock):
    await make_key(ALICE, name="one")
    clock.forward(timedelta(seconds=1))
    await make_key(BOB, name="two")

    async def names(caller):
        return [row.name for row in await deployments.list_keys(KIND, api.handle, caller=caller)]

    assert await names(ALICE) == ["one"]
    assert await names(ADMIN) == ["two", "one"]


# -- events of a control plane -------------------------------------------------------------------------------------


async def apply(deployments, event, **options):
    return await deployments.apply_key(event, correlation_id="c", **options)


@pytest.mark.conforms("CP-079")
async def test_the_control_planes_id_finds_the_local_artifact(deployments, api, make_key_event):
    await deployments.mark_pushed(api.uuid, "success", CP)
    applied = await apply(deployments, make_key_event(CP))
    assert applied.row.api_id == api.uuid


async def test_a_created_key_is_external(deployments, api, make_key_event):
    at = datetime(2026, 8, 1, 10, tzinfo=UTC)
    event = make_key_event(
        api.uuid,
        uuid="0198f1d2-0000-7aaa-8bbb-000000000001",
        masked_key="apip_****0a08",
        external_ref_id="portal-42",
        issuer="api-portal",
        created_at=at,
        updated_at=at,
        user_id="alice",
    )
    applied = await apply(deployments, event)
    assert isinstance(applied, KeyApplied)
    row = applied.row
    assert (row.source, row.created_by, row.updated_at) == ("external", "alice", at)
    assert (row.uuid, row.masked_key, row.issuer, row.external_ref_id) == (
        event.uuid,
        event.masked_key,
        event.issuer,
        event.external_ref_id,
    )


async def test_broken_key_events_are_dropped(deployments, api, make_key_event, clock):
    async def reason(event, **options):
        result = await apply(deployments, event, **options)
        assert isinstance(result, KeyIgnored)
        return result.reason

    assert await reason(make_key_event("nobody")) == "UNKNOWN_ARTIFACT"
    assert await reason(make_key_event("")) == "MISSING_FIELD"
    event = make_key_event(api.uuid, "No Good")
    assert await reason(event) == "NAME"
    assert await reason(make_key_event(api.uuid, "", plain="y"), update=True) == "MISSING_FIELD"
    assert await reason(make_key_event(api.uuid, expires_at=clock() - timedelta(1))) == "EXPIRY_PAST"
    assert await reason(make_key_event(api.uuid, expires_in=ExpiresIn(1, "years"))) == "EXPIRY_UNIT"
    for bad in ("", "xyz", "g" * 64, "a" * 63):
        assert await reason(replace(make_key_event(api.uuid), key_hash=bad)) == "MISSING_FIELD"
    assert await deployments.keys_of(api.uuid) == []


@pytest.mark.conforms("CP-074")
async def test_the_absolute_expiry_wins_and_a_month_has_thirty_days(deployments, api, make_key_event, clock):
    both = make_key_event(api.uuid, expires_at=clock() + timedelta(days=3), expires_in=ExpiresIn(1, "hours"))
    assert (await apply(deployments, both)).row.expires_at == clock() + timedelta(days=3)
    month = make_key_event(api.uuid, "other", plain="other", expires_in=ExpiresIn(1, "months"))
    assert (await apply(deployments, month)).row.expires_at == clock() + timedelta(days=30)


@pytest.mark.conforms("CP-076")
async def test_a_creation_must_be_newer_than_what_is_stored(deployments, api, make_key_event):
    at = datetime(2026, 8, 1, 10, tzinfo=UTC)
    first = (await apply(deployments, make_key_event(api.uuid, plain="one", updated_at=at))).row
    for older in (at, at - timedelta(seconds=1)):
        result = await apply(deployments, make_key_event(api.uuid, plain="two", updated_at=older))
        assert result == KeyStale(first)
    newer = await apply(deployments, make_key_event(api.uuid, plain="two", updated_at=at + timedelta(seconds=1)))
    assert newer.row.key_hash == key_material.hash_of("two")
    assert newer.row.uuid == first.uuid


@pytest.mark.conforms("CP-077")
async def test_an_update_creates_unknown_keys_and_leaves_local_ones_alone(deployments, api, make_key, make_key_event):
    created = await apply(deployments, make_key_event(api.uuid, "fresh", plain="f"), update=True)
    assert created.change.action == "CREATE"
    local = (await make_key(name="till")).row
    result = await apply(deployments, make_key_event(api.uuid, "till", plain="other"), update=True)
    assert (result.reason, isinstance(result, KeyIgnored)) == ("LOCAL_KEY", True)
    assert local in await deployments.keys_of(api.uuid)


async def test_an_update_keeps_reference_and_issuer_and_never_goes_back(deployments, api, make_key_event):
    at = datetime(2026, 8, 1, 10, tzinfo=UTC)
    await apply(deployments, make_key_event(api.uuid, plain="a", updated_at=at, issuer="p", external_ref_id="r"))
    later = make_key_event(api.uuid, plain="b", updated_at=at + timedelta(seconds=9))
    updated = (await apply(deployments, later, update=True)).row
    assert (updated.issuer, updated.external_ref_id) == ("p", "r")
    between = make_key_event(api.uuid, plain="c", updated_at=at + timedelta(seconds=5))
    assert isinstance(await apply(deployments, between, update=True), KeyStale)


@pytest.mark.conforms("CP-075")
async def test_the_eleventh_key_of_a_user_is_dropped(deployments, api, make_key_event):
    for number in range(10):
        event = make_key_event(api.uuid, f"key-{number}", plain=str(number), user_id="alice")
        assert isinstance(await apply(deployments, event), KeyApplied)
    more = make_key_event(api.uuid, "key-10", plain="10", user_id="alice")
    assert (await apply(deployments, more)).reason == "LIMIT"
    assert isinstance(await apply(deployments, more, limited=False), KeyApplied)
    other = make_key_event(api.uuid, "key-11", plain="11", user_id="bob")
    assert isinstance(await apply(deployments, other), KeyApplied)


@pytest.mark.conforms("CP-078")
async def test_revocation_by_event(deployments, api, make_key_event):
    await apply(deployments, make_key_event(api.uuid))
    revoked = await deployments.revoke_key_by_event(api.uuid, "till", correlation_id="c")
    assert revoked.change.action == "DELETE"
    assert await deployments.keys_of(api.uuid) == []
    assert await deployments.revoke_key_by_event(api.uuid, "till", correlation_id="c") == KeyRevoked(None)
    assert (await deployments.revoke_key_by_event("", "till", correlation_id="c")).reason == "MISSING_FIELD"


async def test_a_value_or_id_of_another_key_is_dropped(deployments, api, make_key, make_key_event):
    await make_key(name="one", plain_key="the same value")
    taken = await apply(deployments, make_key_event(api.uuid, "two", plain="the same value"))
    assert taken.reason == "VALUE_TAKEN"
    first = (await apply(deployments, make_key_event(api.uuid, "three", plain="3"))).row
    same_id = await apply(deployments, make_key_event(api.uuid, "four", plain="4", uuid=first.uuid))
    assert same_id.reason == "VALUE_TAKEN"
