"""What artifacts refer to: it must be there when they are written, and what others stand on cannot go.

Plain functions on a connection, inside the caller's transaction. Source: management API reference, 9.2, 10.3, 11.3.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from gatewright.artifacts import llm_provider, llm_template
from gatewright.artifacts.document_kinds import Reference
from gatewright.deployment.results import InUse, UnknownReference
from gatewright.store import artifacts, llm_proxies
from gatewright.store.rows import ArtifactRow

_SHOWN_USERS = 5


def check(connection: Connection, gateway_id: str, references: Iterable[Reference]) -> ArtifactRow | None:
    """All must exist, and the templates of the providers among them. Gives the base. Raises UnknownReference."""
    base: ArtifactRow | None = None
    for reference in references:
        row = _row(connection, gateway_id, reference.kind, reference.handle)
        if row.kind == llm_provider.KIND:
            template = str(row.document["spec"].get("template", "")).strip()
            if "{{" not in template:
                _row(connection, gateway_id, llm_template.KIND, template)
        if reference.is_base:
            base = row
    return base


def bind(connection: Connection, gateway_id: str, row: ArtifactRow, base: ArtifactRow | None) -> None:
    """After `row` was written: note what it stands on."""
    if base is not None:
        llm_proxies.bind(connection, gateway_id, row.uuid, base.uuid)


def release(connection: Connection, gateway_id: str, row: ArtifactRow) -> list[str]:
    """Before `row` goes and another takes its place at once: what stood on it, for `pass_on`."""
    return llm_proxies.release(connection, gateway_id, row.uuid) if row.kind == llm_provider.KIND else []


def pass_on(connection: Connection, gateway_id: str, users: Iterable[str], successor: ArtifactRow) -> None:
    """After `successor` was written: it bears what was released."""
    for uuid in users:
        llm_proxies.bind(connection, gateway_id, uuid, successor.uuid)


def is_unused(connection: Connection, gateway_id: str, row: ArtifactRow) -> bool:
    """Whether nothing stands on `row`."""
    return row.kind != llm_provider.KIND or not llm_proxies.users(connection, gateway_id, row.uuid)


def check_unused(connection: Connection, gateway_id: str, row: ArtifactRow, what: str) -> None:
    """Before a provider goes, or gets another handle. Raises InUse."""
    if row.kind != llm_provider.KIND:
        return
    users = llm_proxies.users(connection, gateway_id, row.uuid)
    if users:
        more = f" and {len(users) - _SHOWN_USERS} more" if len(users) > _SHOWN_USERS else ""
        names = ", ".join(f"'{handle}'" for handle in users[:_SHOWN_USERS])
        raise InUse(f"LLM provider '{row.handle}' cannot be {what}: it is the provider of LLM proxy {names}{more}")


def _row(connection: Connection, gateway_id: str, kind: str, handle: str) -> ArtifactRow:
    row = artifacts.find_by_handle(connection, gateway_id, kind, handle)
    if row is None:
        raise UnknownReference(kind, handle)
    return row
