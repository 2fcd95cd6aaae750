"""Fixtures over a real PostgreSQL server; tests that need one are skipped where none is installed."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gatewright.store import open_store
from postgres_server.server import Server, binaries

MISSING = "no PostgreSQL server is installed: on Debian, apt-get install postgresql"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for all tests of a process. Databases in it are made and left."""
    programs = binaries()
    if programs is None:
        pytest.skip(MISSING)
    server = Server(programs)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """The name of a database with all tables and nothing in them."""
    name = postgres_server.database()

    async def make() -> None:
        await (await open_store(postgres_server.url(name))).close()

    # In a thread: an event loop may be running where a fixture asks for this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(make())).result()
    postgres_server.execute("DELETE FROM controllers", name)
    return name


@pytest.fixture
def postgres_url(postgres_server: Server, postgres_template: str) -> str:
    """A database of this test alone, with all tables."""
    return postgres_server.url(postgres_server.database(postgres_template))
