"""The log of events for people, and its end: what is older than the retention leaves. No network."""

import msgspec
from sqlalchemy import Connection, delete, select

from gatewright.hub import gateways
from gatewright.hub.store import Unit
from gatewright.hub.tables import events
from gatewright.hub.tables import gateways as gateway_table
from gatewright.hub.views import EventView
from gatewright.wire.events import carries_secret
from gatewright.wire.times import Timestamp

MAX_PAGE = 1000


def views(connection: Connection, *, gateway: str, after: int, limit: int) -> list[EventView]:
    """Events after a sequence number in order, of one gateway (by handle) or of all."""
    query = (
        select(events, gateway_table.c.handle)
        .join(gateway_table, gateway_table.c.id == events.c.gateway_id)
        .where(events.c.seq > after)
        .order_by(events.c.seq)
        .limit(min(limit, MAX_PAGE))
    )
    if gateway:
        query = query.where(events.c.gateway_id == gateways.find(connection, gateway).id)
    return [
        EventView(
            seq=row.seq,
            gateway=row.handle,
            type=row.type,
            action=row.action,
            correlation_id=row.correlation_id,
            created_at=Timestamp.from_ms(row.created_at).text(),
            payload=None if carries_secret(row.type) else msgspec.json.decode(row.body).get("payload"),
        )
        for row in connection.execute(query)
    ]


def purge(unit: Unit, retention: float) -> int:
    """Remove events older than `retention` seconds; answers how many."""
    horizon = unit.now.unix_ms - int(retention * 1000)
    return unit.connection.execute(delete(events).where(events.c.created_at < horizon)).rowcount
