"""The store: one transaction for rows and events, in order, and clear words when the file cannot be used."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hub_lab import TurnableClock
from sqlalchemy import func, select

from gatewright.hub import gateways
from gatewright.hub.gateways import Registration
from gatewright.hub.problems import HubStartError
from gatewright.hub.store import Published, Store, Unit
from gatewright.hub.tables import events
from gatewright.hub.vault import Vault
from gatewright.wire.envelope import EventTooLarge


@pytest.fixture
def published() -> list[Published]:
    return []


@pytest.fixture
async def store(tmp_path: Path, published: list[Published]) -> AsyncIterator[Store]:
    made = Store(tmp_path / "hub.db", TurnableClock(), Vault(bytes(32)), published.extend)
    await made.open()
    yield made
    await made.close()


def _registered(unit: Unit) -> str:
    gateways.register(unit, Registration(display_name="edge"))
    return str(gateways.find(unit.connection, "edge").id)


@pytest.mark.conforms("CP-045")
async def test_an_event_beyond_a_mebibyte_is_never_sent_and_undoes_its_change(
    store: Store, published: list[Published]
) -> None:
    def change(unit: Unit) -> None:
        gateway_id = _registered(unit)
        unit.emit(gateway_id, "api.deleted", {"apiId": "small"})
        unit.emit(gateway_id, "api.deleted", {"apiId": "x" * 1_048_576})

    with pytest.raises(EventTooLarge):
        await store.write(change)
    await asyncio.sleep(0)
    assert published == []
    assert await store.read(gateways.listed) == []
    assert await store.read(lambda connection: connection.execute(select(func.count(events.c.seq))).scalar()) == 0


async def test_events_are_handed_over_in_commit_order_before_the_change_returns(
    store: Store, published: list[Published]
) -> None:
    gateway_id = await store.write(_registered)

    async def change(number: int) -> None:
        await store.write(lambda unit: unit.emit(gateway_id, "api.deleted", {"apiId": str(number)}))
        assert f'"apiId":"{number}"' in "".join(event.body for event in published)

    await asyncio.gather(*(change(number) for number in range(20)))
    assert [event.seq for event in published] == sorted(event.seq for event in published)
    assert len(published) == 20


async def test_sequence_numbers_are_never_used_again(store: Store, published: list[Published]) -> None:
    gateway_id = await store.write(_registered)
    await store.write(lambda unit: unit.emit(gateway_id, "api.deleted", {"apiId": "a"}))
    await store.write(lambda unit: unit.connection.execute(events.delete()) and None)
    await store.write(lambda unit: unit.emit(gateway_id, "api.deleted", {"apiId": "b"}))
    assert [event.seq for event in published] == [1, 2]


async def test_what_is_acknowledged_is_in_the_file(store: Store, tmp_path: Path) -> None:
    await store.write(_registered)
    with sqlite3.connect(f"file:{tmp_path / 'hub.db'}?mode=ro", uri=True) as other:
        assert other.execute("SELECT handle FROM gateways").fetchall() == [("edge",)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    assert (tmp_path / "hub.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["garbage", "later"])
async def test_an_unusable_file_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "hub.db"
    if damage == "garbage":
        path.write_bytes(b"this is not a database, it only looks like a file" * 100)
    else:
        with sqlite3.connect(path) as later:
            later.execute("PRAGMA user_version = 99")
        later.close()
    store = Store(path, TurnableClock(), Vault(bytes(32)), lambda _events: None)
    with pytest.raises(HubStartError, match=str(path)) as refusal:
        await store.open()
    assert refusal.value.code in {"HUB_DATABASE_UNUSABLE", "HUB_DATABASE_TOO_NEW"}
    await store.close()
