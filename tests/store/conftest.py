"""A store on disk and rows to put into it."""

from datetime import UTC, datetime

import pytest

from gatewright.store import artifacts, open_store
from gatewright.store.rows import ArtifactRow

NOW = datetime(2026, 8, 1, 10, 15, 30, 123_000, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "gateway.db"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request):
    """Where a database is, of every kind; one that is not installed is skipped."""
    return request.getfixturevalue("path" if request.param == "sqlite" else "postgres_url")


@pytest.fixture
async def store(place):
    opened = await open_store(place)
    yield opened
    await opened.close()


@pytest.fixture
def artifact():
    def make(handle, *, size=0, **changed):
        values = {
            "uuid": f"uuid-{handle}",
            "kind": "RestApi",
            "handle": handle,
            "display_name": handle,
            "version": "v1",
            "document": {"kind": "RestApi", "padding": "x" * size},
            "deployed_at": NOW,
            "created_at": NOW,
            "updated_at": NOW,
            **changed,
        }
        return ArtifactRow(**values)

    return make


@pytest.fixture
def add(store):
    async def run(row):
        await store.write(lambda connection: artifacts.add(connection, store.gateway_id, row))

    return run


@pytest.fixture
def handles(store):
    async def run():
        rows = await store.read(lambda connection: artifacts.everything(connection, store.gateway_id))
        return sorted(row.handle for row in rows)

    return run
