"""From the settings of the original to a database."""

import pytest

from gatewright.process.storage import place_of
from gatewright.settings.storage import Storage
from gatewright.store import StoreUnavailable


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
