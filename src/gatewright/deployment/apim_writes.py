"""What the sync to API Manager records: each step one transaction over record, artifact and outbox.

A crash between any two of them loses nothing: what was begun is written before it is sent, ids when they are known, and
the outbox row goes in the same transaction in which the outcome is recorded.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection

from gatewright.deployment.ids import Clock
from gatewright.deployment.results import OUTBOX_DELETE, OUTBOX_LEFT, OUTBOX_PUSH, OUTBOX_TARGET
from gatewright.store import Store, apim_records, artifacts, outbox
from gatewright.store.apim_records import ApimRecord, Failure
from gatewright.store.rows import OutboxRow, SyncStatus

LEASE: Final = timedelta(seconds=90)
"""For how long a claim holds; it is extended right before an import is sent, and outlasts token and import."""

MEMORY: Final = timedelta(days=30)
"""For how long an API that is gone is remembered."""

KIND: Final = "RestApi"
DEPARTURES: Final = (OUTBOX_DELETE, OUTBOX_LEFT)
"""Actions about what is gone here and still to be undeployed there."""


class ApimRecords:
    """The records of one gateway. Every method may raise StoreUnavailable."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._gateway_id = store.gateway_id
        self._clock = clock

    async def get(self, uuid: str) -> ApimRecord | None:
        """The record of an artifact."""
        return await self._store.read(lambda connection: apim_records.find(connection, self._gateway_id, uuid))

    async def known(self, uuid: str, name: str, version: str) -> ApimRecord:
        """What `begin` would start from; writes nothing."""

        def work(connection: Connection) -> ApimRecord:
            record = apim_records.find(connection, self._gateway_id, uuid)
            same = record is not None and (record.name, record.version) == (name, version)
            return _known(connection, self._gateway_id, (uuid, name, version), record if same else None)

        return await self._store.read(work)

    async def everything(self) -> list[ApimRecord]:
        """All that are not memories, in no order."""
        return await self._store.read(lambda connection: apim_records.everything(connection, self._gateway_id))

    async def counts(self) -> dict[str, int]:
        """How many APIs that were made here are pending, success and failed."""
        return await self._store.read(lambda connection: artifacts.sync_counts(connection, self._gateway_id, KIND))

    async def queued(self) -> list[OutboxRow]:
        """All that waits for a control plane, oldest first, without payloads."""
        return await self._store.read(lambda connection: outbox.queued(connection, self._gateway_id, OUTBOX_TARGET))

    async def queued_for(self, uuid: str) -> OutboxRow | None:
        """What waits for one artifact."""
        return await self._store.read(
            lambda connection: outbox.find_entity(connection, self._gateway_id, OUTBOX_TARGET, uuid)
        )

    async def ready(self, limit: int, *, departures_only: bool) -> list[OutboxRow]:
        """What may be tried now, oldest first, without payloads; `departures_only`: only what is taken away."""
        now, actions = self._clock(), DEPARTURES if departures_only else None
        return await self._store.read(
            lambda connection: outbox.ready(
                connection, self._gateway_id, OUTBOX_TARGET, kind=KIND, now=now, limit=limit, actions=actions
            )
        )

    async def departures(self) -> list[OutboxRow]:
        """All that is still to be taken away for what is gone here, oldest first."""
        return await self._store.read(
            lambda connection: [
                row
                for row in outbox.of_actions(connection, self._gateway_id, OUTBOX_TARGET, DEPARTURES)
                if row.kind == KIND
            ]
        )

    async def departing(self, name: str, version: str) -> list[ApimRecord]:
        """What is gone here under this name and version and still to be taken away there."""

        def work(connection: Connection) -> list[ApimRecord]:
            found = apim_records.named(connection, self._gateway_id, name, version)
            return [each for each in found if self._leaves(connection, each.uuid)]

        return await self._store.read(work)

    async def row(self, row_id: int) -> OutboxRow | None:
        """One row of the outbox; None when it is done or a newer one has taken its place."""
        return await self._store.read(lambda connection: outbox.find(connection, self._gateway_id, row_id))

    async def next_due(self) -> datetime | None:
        """When the next row may be tried that has to wait now; None when none waits for a time."""
        now = self._clock()
        return await self._store.read(
            lambda connection: outbox.next_due(connection, self._gateway_id, OUTBOX_TARGET, now)
        )

    async def dismiss(self, row_id: int) -> None:
        """There is nothing to do for a row."""
        await self._store.write(lambda connection: outbox.done(connection, self._gateway_id, row_id))

    async def release(self, uuids: Collection[str]) -> None:
        """End claims: this process goes."""

        def work(connection: Connection) -> None:
            for uuid in uuids:
                apim_records.release(connection, self._gateway_id, uuid)

        await self._store.write(work)

    async def postpone(self, row_id: int, not_before: datetime, why: str) -> None:
        """Another process works on it: look again later."""
        await self._store.write(lambda connection: outbox.retry(connection, self._gateway_id, row_id, not_before, why))

    async def open(self) -> None:
        """A connect: what waits may be tried at once, and what has failed or was never queued waits again."""
        now = self._clock()
        await self._store.write(lambda connection: _open(connection, self._gateway_id, now))

    async def hasten(self, uuids: Collection[str]) -> None:
        """What waits for these artifacts may be tried at once."""
        await self._store.write(
            lambda connection: outbox.hasten(connection, self._gateway_id, OUTBOX_TARGET, list(uuids))
        )

    async def begin(self, uuid: str, name: str, version: str, owner: str) -> ApimRecord | None:
        """Claim the API, before anything is sent. None: another process works on it.

        An API that has another name or version than at its last sync starts anew; the old one is queued to be
        undeployed. A new one inherits what is remembered of an API of its name and version.
        """
        now = self._clock()
        return await self._store.write(
            lambda connection: _begin(connection, self._gateway_id, (uuid, name, version), owner, now)
        )

    async def importing(self, uuid: str, content: str, owner: str) -> bool:
        """An import of this content is about to be sent. False: the claim was lost, so it must not be sent."""
        now = self._clock()

        def work(connection: Connection) -> bool:
            mine = apim_records.claim(connection, self._gateway_id, uuid, owner=owner, now=now, lease=LEASE)
            if mine:
                self._alter(connection, uuid, begun=content)
            return mine

        return await self._store.write(work)

    async def imported(self, uuid: str, *, api_id: str, revision: str, content: str) -> None:
        """It was answered: the ids are there for events that follow at once."""
        now = self._clock()

        def work(connection: Connection) -> None:
            self._alter(connection, uuid, api_id=api_id or None, revision=revision or None, content=content)
            _mark(
                connection,
                self._gateway_id,
                uuid,
                "pending",
                api_id=api_id or None,
                info=_ids(api_id, revision),
                now=now,
            )

        await self._store.write(work)

    async def deployed(
        self, uuid: str, row_id: int, *, api_id: str, revision: str, content: str, fingerprint: str | None
    ) -> bool:
        """The sync is done. False: the API has changed again meanwhile."""
        now = self._clock()

        def work(connection: Connection) -> bool:
            newest = outbox.done(connection, self._gateway_id, row_id)
            self._alter(
                connection,
                uuid,
                api_id=api_id or None,
                revision=revision or None,
                content=content,
                begun=None,
                fingerprint=fingerprint,
                synced_at=now,
                error=None,
                failure=None,
                failed_at=None,
            )
            apim_records.release(connection, self._gateway_id, uuid)
            status: SyncStatus = "success" if newest else "pending"
            _mark(
                connection, self._gateway_id, uuid, status, api_id=api_id or None, info=_ids(api_id, revision), now=now
            )
            return newest

        return await self._store.write(work)

    async def undeployed(self, uuid: str, row_id: int, *, gone: bool) -> bool:
        """Nothing of ours is deployed there any more. `gone`: the API is no more here either."""
        now = self._clock()

        def work(connection: Connection) -> bool:
            newest = outbox.done(connection, self._gateway_id, row_id)
            self._alter(
                connection,
                uuid,
                revision=None,
                content=None,
                begun=None,
                synced_at=now,
                error=None,
                failure=None,
                failed_at=None,
                gone_at=now if gone else None,
            )
            apim_records.release(connection, self._gateway_id, uuid)
            status: SyncStatus = "success" if newest else "pending"
            _mark(connection, self._gateway_id, uuid, status, api_id=None, info=None, now=now)
            return newest

        return await self._store.write(work)

    async def failed(self, uuid: str, row_id: int, error: str, failure: Failure, not_before: datetime | None) -> bool:
        """The sync has failed; ids stay. `not_before` None: only a change can help. False: it has changed meanwhile."""
        now = self._clock()

        def work(connection: Connection) -> bool:
            if not_before is None:
                newest = outbox.done(connection, self._gateway_id, row_id)
            else:
                newest = outbox.retry(connection, self._gateway_id, row_id, not_before, error)
            apim_records.release(connection, self._gateway_id, uuid)
            if newest:
                record = self._alter(connection, uuid, error=error, failure=failure, failed_at=now)
                row = artifacts.find(connection, self._gateway_id, uuid)
                if row is not None:
                    known = record is not None and record.api_id is not None and row.cp_artifact_id is not None
                    info = row.cp_sync_info if known and row.cp_sync_info else error
                    _mark(connection, self._gateway_id, uuid, "failed", api_id=row.cp_artifact_id, info=info, now=now)
            return newest

        return await self._store.write(work)

    async def link(self, uuid: str, api_id: str) -> None:
        """From now on API Manager's id means this artifact."""
        now = self._clock()

        def work(connection: Connection) -> None:
            _mark(connection, self._gateway_id, uuid, "pending", api_id=api_id, info=None, now=now)

        await self._store.write(work)

    def _leaves(self, connection: Connection, uuid: str) -> bool:
        waiting = outbox.find_entity(connection, self._gateway_id, OUTBOX_TARGET, uuid)
        return waiting is not None and waiting.action in DEPARTURES

    def _alter(self, connection: Connection, uuid: str, **values: object) -> ApimRecord | None:
        record = apim_records.find(connection, self._gateway_id, uuid)
        if record is None:
            return None
        record = msgspec.structs.replace(record, **values)
        apim_records.put(connection, self._gateway_id, record)
        return record


def left_behind(row: OutboxRow) -> ApimRecord:
    """The record of an API that has got another name here, out of an `OUTBOX_LEFT` row."""
    return msgspec.convert(row.payload["record"], ApimRecord)


def _open(connection: Connection, gateway_id: str, now: datetime) -> None:
    apim_records.forget_older(connection, gateway_id, now - MEMORY)
    # API Manager knows no other kind: nobody will ever ask what became of them.
    outbox.dismiss_other_kinds(connection, gateway_id, OUTBOX_TARGET, kind=KIND, action=OUTBOX_DELETE)
    outbox.hasten(connection, gateway_id, OUTBOX_TARGET)
    waiting = {row.entity_id for row in outbox.queued(connection, gateway_id, OUTBOX_TARGET)}
    for uuid in artifacts.unsynced(connection, gateway_id, KIND):
        if uuid not in waiting:
            _queue(connection, gateway_id, uuid, action=OUTBOX_PUSH, payload={}, now=now)


def _begin(
    connection: Connection, gateway_id: str, api: tuple[str, str, str], owner: str, now: datetime
) -> ApimRecord | None:
    uuid, name, version = api
    record = apim_records.find(connection, gateway_id, uuid)
    if record is not None and not apim_records.claim(connection, gateway_id, uuid, owner=owner, now=now, lease=LEASE):
        return None
    renamed = record is not None and (record.name, record.version) != (name, version)
    if record is not None and renamed:
        _leave(connection, gateway_id, record, now)
    known = _known(connection, gateway_id, api, None if renamed else record)
    if known != record:
        apim_records.put(connection, gateway_id, known)
        apim_records.claim(connection, gateway_id, uuid, owner=owner, now=now, lease=LEASE)
    return known


def _known(connection: Connection, gateway_id: str, api: tuple[str, str, str], record: ApimRecord | None) -> ApimRecord:
    """The record of an API; one that was never synced takes over what is known of its predecessor there."""
    uuid, name, version = api
    record = record or ApimRecord(uuid=uuid, name=name, version=version)
    if record.api_id is not None or record.begun is not None:
        return record
    before = apim_records.memory(connection, gateway_id, uuid, name, version)
    if before is None:
        return record
    return msgspec.structs.replace(
        record, api_id=before.api_id, fingerprint=before.fingerprint, synced_at=before.synced_at
    )


def _leave(connection: Connection, gateway_id: str, record: ApimRecord, now: datetime) -> None:
    """The API at API Manager keeps its name: it is left behind, and its ids mean this artifact no more."""
    if record.api_id is None and record.begun is None:
        return
    entity = record.api_id if record.api_id and len(record.api_id) <= 64 else f"left-{record.uuid}"
    left = msgspec.structs.replace(record, uuid=entity, error=None, failure=None, failed_at=None)
    apim_records.put(connection, gateway_id, left)
    _queue(
        connection,
        gateway_id,
        entity,
        action=OUTBOX_LEFT,
        payload={"record": msgspec.to_builtins(left), "artifact": record.uuid},
        now=now,
    )
    _mark(connection, gateway_id, record.uuid, "pending", api_id=None, info=None, now=now)


def _queue(
    connection: Connection, gateway_id: str, entity_id: str, *, action: str, payload: dict[str, object], now: datetime
) -> None:
    outbox.put(
        connection,
        gateway_id,
        target=OUTBOX_TARGET,
        kind=KIND,
        entity_id=entity_id,
        action=action,
        payload=payload,
        correlation_id="",
        at=now,
    )


def _mark(
    connection: Connection,
    gateway_id: str,
    uuid: str,
    status: SyncStatus,
    *,
    api_id: str | None,
    info: str | None,
    now: datetime,
) -> None:
    artifacts.mark_at_apim(connection, gateway_id, uuid, status=status, cp_artifact_id=api_id, info=info, at=now)


def _ids(api_id: str, revision: str) -> str:
    """`cp_sync_info` after a success, in the original's form."""
    return msgspec.json.encode({"id": api_id, "revision": revision}).decode()
