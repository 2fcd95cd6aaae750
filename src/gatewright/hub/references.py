"""Which platform secrets a deployment's document refers to, kept beside it when it is recorded."""

import re

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from gatewright.hub.tables import deployments, secret_references

_PLACEHOLDER = re.compile(r"\{\{\s*secret\s+\\?\"([^\"\\]+)\\?\"\s*\}\}")
_ADD = insert(secret_references)
_BATCH = 200


def secret_handles(document: str) -> tuple[str, ...]:
    """The handles in a document's placeholders, each once."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(document))) if "secret" in document else ()


def record(connection: Connection, deployment_id: str, document: str) -> None:
    """Keep the references of a new deployment."""
    handles = secret_handles(document)
    if handles:
        connection.execute(_ADD, [{"deployment_id": deployment_id, "handle": handle} for handle in handles])


def record_all(connection: Connection) -> None:
    """Keep the references of deployments that were recorded before references were."""
    add = upsert(secret_references).on_conflict_do_nothing()
    rows = connection.execution_options(yield_per=_BATCH).execute(select(deployments.c.id, deployments.c.content))
    for page in rows.partitions(_BATCH):
        found = [{"deployment_id": row.id, "handle": handle} for row in page for handle in secret_handles(row.content)]
        if found:
            connection.execute(add, found)
