"""Small values of the gateway itself: users, ids, sealed secrets. Functions on a connection."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from gatewright.store.tables import meta


def read(connection: Connection, gateway_id: str, name: str, *, sealed: bool = False) -> Any:  # noqa: ANN401 - any JSON value
    """The value, or None. A sealed value is never returned as a plain one, nor the other way round."""
    return connection.execute(
        select(meta.c.value).where(meta.c.gateway_id == gateway_id, meta.c.name == name, meta.c.sealed.is_(sealed))
    ).scalar_one_or_none()


def write(connection: Connection, gateway_id: str, name: str, value: object, *, sealed: bool) -> None:
    """Replace the value; None removes it."""
    connection.execute(delete(meta).where(meta.c.gateway_id == gateway_id, meta.c.name == name))
    if value is not None:
        connection.execute(insert(meta).values(gateway_id=gateway_id, name=name, value=value, sealed=sealed))
