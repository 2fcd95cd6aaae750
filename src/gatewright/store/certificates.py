"""Rows of the authorities that upstreams are checked against. Functions on a connection."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, insert, select

from gatewright.store.tables import certificates


class CertificateRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored PEM text of `cert_count` certificates; names and times are those of the first."""

    uuid: str
    name: str
    certificate: str
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    cert_count: int
    created_at: datetime
    updated_at: datetime


def everything(connection: Connection, gateway_id: str) -> list[CertificateRow]:
    """All, newest first."""
    return [_row(row) for row in connection.execute(_ALL, {"here": gateway_id})]


def is_taken(connection: Connection, gateway_id: str, name: str) -> bool:
    """Whether there is one of that name."""
    return connection.execute(_BY_NAME, {"here": gateway_id, "wanted": name}).first() is not None


def add(connection: Connection, gateway_id: str, row: CertificateRow) -> None:
    """Insert. Raises IntegrityError when the name is taken."""
    connection.execute(insert(certificates), {"gateway_id": gateway_id, **msgspec.structs.asdict(row)})


def remove(connection: Connection, gateway_id: str, uuid: str) -> bool:
    """Delete. False: there is none."""
    return bool(connection.execute(_REMOVE, {"here": gateway_id, "wanted": uuid}).rowcount)


_COLUMNS = [column for column in certificates.c if column.name != "gateway_id"]
_FIELDS = tuple(column.name for column in _COLUMNS)
_HERE = certificates.c.gateway_id == bindparam("here")
_ALL = select(*_COLUMNS).where(_HERE).order_by(certificates.c.created_at.desc(), certificates.c.uuid)
_BY_NAME = select(certificates.c.uuid).where(_HERE, certificates.c.name == bindparam("wanted"))
_REMOVE = delete(certificates).where(_HERE, certificates.c.uuid == bindparam("wanted"))


def _row(row: Row[Any]) -> CertificateRow:
    return CertificateRow(**dict(zip(_FIELDS, row, strict=True)))
