"""Secrets: the one place that writes them, and the look-up that rendering uses.

Memory holds envelopes; a value is opened when a document that names it is rendered. Every change is in the change feed:
every controller takes it in, and the roll-out renders the documents that name the secret anew.
Source: management API reference, sections 6.7 and 17; control-plane protocol reference 4.7.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import SecretStr
from sqlalchemy import Connection

from gatewright.artifacts.secret import Secret
from gatewright.artifacts.templates import SecretUnavailable, referenced_secrets
from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.results import Conflict, NotFound
from gatewright.observability.logging import get_logger
from gatewright.store import Store, changes, secrets
from gatewright.store.errors import KeyFileError
from gatewright.store.rows import SECRET, Action
from gatewright.store.secrets import SecretRow

_LONGEST_NAME = 253
_log = get_logger(__name__)

SecretRows = list[SecretRow]


class Secrets:
    """One per controller. `load` before anything is rendered.

    Methods that write may raise StoreUnavailable and KeyFileError; then nothing was written.
    """

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._gateway_id = store.gateway_id
        self._clock = clock
        self._envelopes: dict[str, str] = {}

    async def load(self) -> None:
        """Take in what is stored. Raises StoreUnavailable."""
        self._envelopes = {row.handle: row.ciphertext for row in await self.list()}

    async def catch_up(self, document: Mapping[str, Any]) -> None:
        """Know what `document` names, also what another controller has stored just now. Raises StoreUnavailable."""
        if self._store.is_shared and not referenced_secrets(document, {}) <= self._envelopes.keys():
            await self.load()

    def value(self, handle: str) -> str | None:
        """The plain value, for the renderer; None for an unknown handle. Raises SecretUnavailable. Any thread."""
        envelope = self._envelopes.get(handle)
        if envelope is None:
            return None
        try:
            return self._store.unseal(envelope)
        except KeyFileError as problem:
            raise SecretUnavailable(str(problem)) from None

    def known(self) -> frozenset[str]:
        """The handles of all secrets."""
        return frozenset(self._envelopes)

    async def list(self) -> SecretRows:
        """All, newest first."""
        return await self._store.read(lambda connection: secrets.everything(connection, self._gateway_id))

    async def get(self, handle: str) -> tuple[SecretRow, SecretStr] | None:
        """A secret with its value. Raises KeyFileError when it cannot be opened."""
        row = await self._store.read(lambda connection: secrets.find(connection, self._gateway_id, handle))
        return None if row is None else (row, SecretStr(self._store.unseal(row.ciphertext)))

    async def create(self, secret: Secret) -> SecretRow:
        """POST. Raises Conflict."""
        row = self._row(secret)
        if not await self._store.write(lambda connection: self._add(connection, row)):
            raise Conflict(f"configuration already exists: secret with id '{row.handle}' already exists")
        return self._keep(row)

    async def update(self, secret: Secret) -> SecretRow:
        """PUT: replaces value and description. Raises NotFound."""
        row = self._row(secret)
        stored = await self._store.write(lambda connection: self._replace(connection, row))
        if stored is None:
            raise NotFound(f"configuration not found: id={row.handle}")
        return self._keep(stored)

    async def delete(self, handle: str) -> None:
        """Remove it, also when documents name it: they serve on as they are. Raises NotFound."""
        if not await self._store.write(lambda connection: self._remove(connection, handle)):
            raise NotFound(f"configuration not found: id={handle}")
        self._envelopes.pop(handle, None)
        _log.info("secret deleted", handle=handle)

    async def put(self, handle: str, value: SecretStr, *, name: str = "") -> bool:
        """A secret of the control plane: created, or given another value; False when it has that value already."""
        existing = await self._store.read(lambda connection: secrets.find(connection, self._gateway_id, handle))
        if existing is not None and handle in self._envelopes and self._opens_to(existing, value):
            return False
        description = existing.description if existing is not None else ""
        row = self._row(Secret(handle, (name or handle)[:_LONGEST_NAME], description, value))
        await self._store.write(lambda connection: self._put(connection, row))
        self._keep(row)
        return True

    def _opens_to(self, row: SecretRow, value: SecretStr) -> bool:
        try:
            return self._store.unseal(row.ciphertext) == value.get_secret_value()
        except KeyFileError:
            return False

    def _row(self, secret: Secret) -> SecretRow:
        now = self._clock()
        return SecretRow(
            handle=secret.handle,
            display_name=secret.display_name,
            description=secret.description,
            ciphertext=self._store.seal(secret.value.get_secret_value()),
            created_at=now,
            updated_at=now,
        )

    def _keep(self, row: SecretRow) -> SecretRow:
        self._envelopes[row.handle] = row.ciphertext
        _log.info("secret stored", handle=row.handle)
        return row

    # -- in transactions -------------------------------------------------------------------------------------------

    def _add(self, connection: Connection, row: SecretRow) -> bool:
        if secrets.find(connection, self._gateway_id, row.handle) is not None:
            return False
        secrets.add(connection, self._gateway_id, row)
        self._record(connection, row.handle, "CREATE")
        return True

    def _replace(self, connection: Connection, row: SecretRow) -> SecretRow | None:
        existing = secrets.find(connection, self._gateway_id, row.handle)
        if existing is None:
            return None
        secrets.replace(connection, self._gateway_id, row)
        self._record(connection, row.handle, "UPDATE")
        return msgspec.structs.replace(row, created_at=existing.created_at)

    def _put(self, connection: Connection, row: SecretRow) -> None:
        if self._replace(connection, row) is None:
            secrets.add(connection, self._gateway_id, row)
            self._record(connection, row.handle, "CREATE")

    def _remove(self, connection: Connection, handle: str) -> bool:
        if not secrets.remove(connection, self._gateway_id, handle):
            return False
        self._record(connection, handle, "DELETE")
        return True

    def _record(self, connection: Connection, handle: str, action: Action) -> None:
        changes.append(
            connection,
            self._gateway_id,
            kind=SECRET,
            entity_id=handle,
            artifact_id=handle,
            action=action,
            correlation_id="",
            at=self._clock(),
        )
