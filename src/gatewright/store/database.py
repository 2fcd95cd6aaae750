"""The store: one writer thread that commits, reader threads, and the news of committed changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Store:
    """Transactions of one gateway. Safe to use from any task of the event loop that opened it."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction; when this returns, it is on disk. Raises StoreUnavailable and what `work` raises."""
        raise NotImplementedError

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a consistent snapshot. Raises StoreUnavailable."""
        raise NotImplementedError

    async def get_meta(self, name: str) -> Any:
        """A small JSON value kept under `name` (users, ids), or None."""
        raise NotImplementedError

    async def set_meta(self, name: str, value: Any) -> None:
        """Keep a small JSON value; None removes it."""
        raise NotImplementedError

    async def get_secret(self, name: str) -> str | None:
        """A secret kept under `name`, decrypted, or None. Raises KeyFileError."""
        raise NotImplementedError

    async def set_secret(self, name: str, value: str | None) -> None:
        """Keep a secret, encrypted; None removes it. Raises KeyFileError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Finish what is queued, then give the data directory free."""
        raise NotImplementedError


async def open_store(url_or_path: str | Path, *, gateway_id: str = "platform-gateway-id") -> Store:
    """Open or make the database and bring its tables up to date.

    A path or a `sqlite:///` URL. Raises StoreInUse, StoreUnavailable, SchemaMismatch.
    """
    raise NotImplementedError
