"""The controllers that share a PostgreSQL database: who lives, who holds the hold, what each says of its routers.

Who lives is not a matter of clocks: the server lists the locks of the sessions that it has.
"""

import time
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from gatewright.store.postgres_locks import Locks

FORGET_AFTER_S: Final = 86_400
"""Rows of controllers that are gone stay for a day: one that was cut off may still ask for its last commit."""

_UNSIGNED_32: Final = 0xFFFFFFFF
_SAID: Final = text(
    "INSERT INTO controllers (gateway_id, id, number, name, token, report, started_at, updated_at) "
    "VALUES (:gateway_id, :id, :number, :name, :token, :report, :started_at, :now) "
    "ON CONFLICT (gateway_id, id) DO UPDATE SET token = coalesce(excluded.token, controllers.token), "
    "report = coalesce(excluded.report, controllers.report), updated_at = excluded.updated_at"
)
_TOKEN: Final = text("SELECT token FROM controllers WHERE gateway_id = :gateway_id AND id = :id")
_FORGET: Final = text("DELETE FROM controllers WHERE gateway_id = :gateway_id AND id = :id")
_FORGET_OLD: Final = text("DELETE FROM controllers WHERE gateway_id = :gateway_id AND updated_at < :before")
_LIVE: Final = text(
    "SELECT c.id, c.name, c.report, EXISTS (SELECT 1 FROM pg_locks h WHERE h.locktype = 'advisory' AND h.granted "
    "AND h.objsubid = 1 AND h.classid::bigint = :hold_high AND h.objid::bigint = :hold_low "
    "AND h.database = l.database AND h.pid = l.pid) AS holds "
    "FROM controllers c JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 "
    "AND l.classid::bigint = :gateway AND l.objid::bigint = (c.number::bigint & 4294967295) "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "WHERE c.gateway_id = :gateway_id ORDER BY c.started_at, c.id"
)
_decode = msgspec.json.decode
_encode = msgspec.json.encode


class Me(msgspec.Struct, frozen=True):
    """This process. `started_at` in microseconds."""

    gateway_id: str
    id: str
    name: str
    number: int
    started_at: int


class LiveController(msgspec.Struct, frozen=True):
    """A controller whose session the server has. `report` is what it said last, None before it said anything."""

    id: str
    name: str
    holds: bool
    report: Any = None


def say(connection: Connection, me: Me, *, token: str | None = None, report: object = None) -> None:
    """Leave a token or a report behind; what is None stays as it is."""
    connection.execute(
        _SAID,
        {
            **msgspec.structs.asdict(me),
            "token": token,
            "report": None if report is None else _encode(report).decode(),
            "now": microseconds(),
        },
    )


def last_token(connection: Connection, me: Me) -> str | None:
    """The token of the last transaction of this process that was committed."""
    found: str | None = connection.execute(_TOKEN, {"gateway_id": me.gateway_id, "id": me.id}).scalar_one_or_none()
    return found


def forget(connection: Connection, me: Me) -> None:
    """This process ends; rows of others that ended long ago go too."""
    connection.execute(_FORGET, {"gateway_id": me.gateway_id, "id": me.id})
    before = microseconds() - FORGET_AFTER_S * 1_000_000
    connection.execute(_FORGET_OLD, {"gateway_id": me.gateway_id, "before": before})


def live(connection: Connection, me: Me, locks: Locks) -> list[LiveController]:
    """Those that live, the oldest first."""
    hold = locks.hold & 0xFFFFFFFFFFFFFFFF
    found = connection.execute(
        _LIVE,
        {
            "gateway_id": me.gateway_id,
            "gateway": locks.gateway & _UNSIGNED_32,
            "hold_high": hold >> 32,
            "hold_low": hold & _UNSIGNED_32,
        },
    )
    return [
        LiveController(row.id, row.name, row.holds, None if row.report is None else _decode(row.report))
        for row in found
    ]


def microseconds() -> int:
    """Now, in Unix microseconds."""
    return time.time_ns() // 1000
