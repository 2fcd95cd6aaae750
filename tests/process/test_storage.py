"""From the settings of the original to a database."""

import pytest

from gatewright.process.storage import check_keys, place_of
from gatewright.settings.storage import Storage
from gatewright.store import StoreUnavailable, open_store
from gatewright.store.encryption import KeyRing
from gatewright.store.errors import KeyFileError


def words(storage):
    return dict(pair.split("=", 1) for pair in place_of(storage).conninfo.get_secret_value().split(" "))


def test_single_values_make_a_connection():
    postgres = {"host": "db", "database": "gw", "user": "me", "password": "pass-word", "sslmode": "REQUIRE"}
    found = words(Storage(type="postgres", postgres=postgres))
    assert found["host"] == "db"
    assert (found["port"], found["dbname"], found["user"], found["password"]) == ("5432", "gw", "me", "pass-word")
    assert (found["sslmode"], found["connect_timeout"], found["application_name"]) == (
        "require",
        "5",
        "gateway-controller",
    )


def test_the_unified_section_has_the_last_word():
    postgres = {"host": "db", "database": "gw", "user": "me", "max_open_conns": 7}
    unified = {"host": "other", "port": 6543, "options": {"SSLMode": "disable"}, "connect_timeout": "500ms"}
    found = words(Storage(type="postgres", postgres=postgres, database=unified))
    assert (found["host"], found["port"], found["dbname"], found["sslmode"]) == ("other", "6543", "gw", "disable")
    assert found["connect_timeout"] == "5"
    assert place_of(Storage(type="postgres", postgres=postgres)).max_connections == 7


def test_a_dsn_replaces_single_values_and_keeps_its_own_parameters():
    dsn = "postgres://me:pass-word@one,two:5433/gw?sslmode=verify-full&application_name=mine"
    found = words(Storage(type="postgres", postgres={"dsn": dsn, "host": "ignored"}))
    assert (found["host"], found["sslmode"], found["sslrootcert"]) == ("one,two", "verify-full", "system")
    assert (found["application_name"], found["target_session_attrs"]) == ("mine", "read-write")


def test_storage_that_is_not_there_is_named():
    with pytest.raises(StoreUnavailable, match="sqlserver is not supported"):
        place_of(Storage(type="sqlserver"))


async def test_controllers_with_other_keys_are_refused(postgres_url):
    one, two = KeyRing([("v1", b"1" * 32)]), KeyRing([("v2", b"2" * 32), ("v1", b"1" * 32)])
    for keys in (one, two, KeyRing([("v2", b"2" * 32)])):
        # Turned over: the proof is written anew with the new key, so that the old one may go.
        store = await open_store(postgres_url, keys=keys)
        await check_keys(store)
        await store.close()
    for keys in (one, KeyRing([("v2", b"3" * 32)])):
        store = await open_store(postgres_url, keys=keys)
        with pytest.raises(KeyFileError, match="not those with which") as refused:
            await check_keys(store)
        assert "same files" in refused.value.advice
        await store.close()
