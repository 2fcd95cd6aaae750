"""The names under which the processes of one gateway meet in a PostgreSQL database. Pure.

Numbers and a channel made of the gateway's id: several gateways may share a database.
"""

import hashlib

import msgspec


class Locks(msgspec.Struct, frozen=True):
    """`gateway` and `process` together are the lock by which a process shows that it lives."""

    write: int
    hold: int
    gateway: int
    process: int
    channel: str

    @property
    def try_hold(self) -> str:
        """True when this session holds the hold now."""
        return f"SELECT pg_try_advisory_lock({self.hold})"

    @property
    def show_life(self) -> str:
        """Until the session ends."""
        return f"SELECT pg_advisory_lock({self.gateway}, {self.process})"


def locks_of(gateway_id: str, process_id: str) -> Locks:
    """For one process of one gateway."""
    return Locks(
        write=_number("write", gateway_id, 8),
        hold=_number("hold", gateway_id, 8),
        gateway=_number("gateway", gateway_id, 4),
        process=number_of(process_id),
        channel=f"gatewright_{hashlib.sha256(gateway_id.encode()).hexdigest()[:24]}",
    )


def number_of(process_id: str) -> int:
    """What stands for a process in the list of locks."""
    return _number("process", process_id, 4)


SCHEMA = int.from_bytes(hashlib.sha256(b"gatewright schema").digest()[:8], "big", signed=True)
"""Held while tables are made or changed, by whichever gateway: they share the tables."""


def _number(what: str, name: str, size: int) -> int:
    digest = hashlib.sha256(f"gatewright {what} {name}".encode()).digest()
    return int.from_bytes(digest[:size], "big", signed=True)
