"""The last served version of artifacts whose newest version is in quarantine. Functions on a connection."""

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from gatewright.store.tables import artifacts, last_good

_ALL = select(last_good.c.uuid, last_good.c.model).where(last_good.c.gateway_id == bindparam("gateway_id"))


def everything(connection: Connection, gateway_id: str) -> dict[str, Any]:
    """Models as plain data, by artifact; an empty one where nothing good is known."""
    return {row.uuid: row.model for row in connection.execute(_ALL, {"gateway_id": gateway_id})}


def keep(connection: Connection, gateway_id: str, uuid: str, model: object) -> None:
    """Replace what is kept; nothing is kept for an artifact that is gone."""
    drop(connection, gateway_id, uuid)
    _insert(connection, gateway_id, uuid, model)


def blame(connection: Connection, gateway_id: str, uuid: str) -> None:
    """Keep that routers refuse it (an empty model), unless another controller has kept what it served."""
    kept = select(last_good.c.uuid).where(last_good.c.gateway_id == gateway_id, last_good.c.uuid == uuid)
    if connection.execute(kept).scalar_one_or_none() is None:
        _insert(connection, gateway_id, uuid, {})


def _insert(connection: Connection, gateway_id: str, uuid: str, model: object) -> None:
    known = select(artifacts.c.uuid).where(artifacts.c.gateway_id == gateway_id, artifacts.c.uuid == uuid)
    if connection.execute(known).scalar_one_or_none() is not None:
        connection.execute(insert(last_good).values(gateway_id=gateway_id, uuid=uuid, model=model))


def drop(connection: Connection, gateway_id: str, uuid: str) -> None:
    """Forget it: the newest version serves."""
    connection.execute(delete(last_good).where(last_good.c.gateway_id == gateway_id, last_good.c.uuid == uuid))
