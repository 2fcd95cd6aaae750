"""The gateway database of the original (SQLite, versions 1.0 to 1.2), read as it is. Writes nothing.

Source: deployment reference, 5.2 and 5.4.
"""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, Self

from gatewright.store.errors import StoreError

SCHEMAS: Final = {1: "1.0", 2: "1.1", 3: "1.2", 4: "1.2"}
"""`PRAGMA user_version` and the release that writes it."""

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?(?:\s+[A-Z]{2,5})?(?:\s+m=\S+)?"
)
Row = Mapping[str, Any]


class NotTheOriginals(StoreError):
    """The file is no database of the original, or of a version that is not known."""

    code = "TAKEOVER_SOURCE"


class Original:
    """An open file. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Raises NotTheOriginals."""
        if not path.is_file():
            raise NotTheOriginals(f"there is no file {path}", "Name the original's gateway.db.")
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        try:
            version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
            self._tables = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error as problem:
            self._connection.close()
            raise NotTheOriginals(
                f"{path} cannot be read: {problem}", "Stop the original first, or copy its file."
            ) from None
        if version not in SCHEMAS or not {"artifacts", "gateway_states"} <= self._tables:
            self._connection.close()
            raise NotTheOriginals(
                f"{path} is not the database of a gateway of the original (schema {version})",
                "Databases of the releases 1.0 to 1.2 are taken over.",
            )
        self.release = SCHEMAS[version]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def gateways(self) -> list[str]:
        """The gateways whose artifacts, keys or secrets are in it."""
        found: set[str] = set()
        for table in ("artifacts", "api_keys", "secrets", "subscriptions", "certificates"):
            if table in self._tables:
                rows = self._connection.execute(f"SELECT DISTINCT gateway_id FROM {table}")  # noqa: S608 - our own names
                found.update(str(row[0]) for row in rows)
        return sorted(found)

    def rows(self, table: str, gateway_id: str) -> Iterator[Row]:
        """The rows of a gateway; none when the release has no such table."""
        if table not in self._tables:
            return
        statement = f"SELECT * FROM {table} WHERE gateway_id = ?"  # noqa: S608 - our own names
        with closing(self._connection.execute(statement, (gateway_id,))) as cursor:
            for row in cursor:
                yield dict(zip(row.keys(), tuple(row), strict=True))


def moment(value: object) -> datetime | None:
    """A time as the original's drivers write it; None for none. Raises ValueError."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        seconds = value / 1000 if abs(value) > 1e11 else value
        return datetime.fromtimestamp(seconds, UTC)
    found = _TIME.fullmatch(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is no time")
    day, clock, fraction, zone = found.groups()
    parsed = datetime.fromisoformat(f"{day}T{clock}").replace(
        microsecond=int((fraction or "0").ljust(9, "0")[:6]), tzinfo=_zone(zone)
    )
    return parsed.astimezone(UTC)


def text_of(value: object) -> str:
    """A text that may stand in a column of bytes."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _zone(text: str | None) -> timezone:
    if text is None or text in {"Z", "UTC"}:
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)
