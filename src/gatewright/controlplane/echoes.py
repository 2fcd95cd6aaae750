"""Deployment events of an API Manager that our own imports set off.

Such an event says what this gateway said before. Taken as news it would hand the API over to the API Manager right
after its first sync. Source: bottom-up reference, section 16 and R13. Belongs to one event loop; touches nothing.
"""

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import msgspec

from gatewright.store.apim_records import ApimRecord
from gatewright.store.rows import ArtifactRow
from gatewright.wire.events import DeploymentEvent

_REMEMBERED: Final = 10_000
_REVISIONS: Final = 5
"""As many as an API Manager keeps of one API."""


def deployment_id(api_id: str, gateway_id: str, revision_id: str) -> str:
    """The id that an API Manager gives to the deployment of a revision: a UUID of version 3 over these ids."""
    digest = hashlib.md5(f"{api_id}:{gateway_id}:{revision_id}".encode(), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest, version=3))


class _Imported(msgspec.Struct, frozen=True):
    """The last finished import, by our own clock, and the revisions that it took the place of."""

    revision_id: str
    begun: datetime
    ended: datetime
    earlier: frozenset[str] = frozenset()


class Echoes:
    """What is being imported, what was imported last, and whether an event only repeats it.

    `window`: how far the clocks of both sides may be apart when only the time can tell, because the deployment has an
    id that is not made of its revision; zero switches it all off.
    Nothing is an echo until `connected` has named this gateway at an API Manager.
    """

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._gateway_id = ""
        self._under_way: dict[str, list[asyncio.Event]] = {}
        self._imported: OrderedDict[str, _Imported] = OrderedDict()

    @property
    def enabled(self) -> bool:
        """Whether echoes are told from news at all."""
        return self._window > timedelta(0) and bool(self._gateway_id)

    @property
    def at_api_manager(self) -> bool:
        """Whether the control plane is an API Manager."""
        return bool(self._gateway_id)

    def connected(self, gateway_id: str) -> None:
        """The id under which an API Manager knows this gateway; empty: the control plane is none."""
        self._gateway_id = gateway_id

    @contextmanager
    def importing(self, local_id: str) -> Iterator[None]:
        """Around every import of an artifact: an event about it waits until it is known what the import made."""
        ended = asyncio.Event()
        self._under_way.setdefault(local_id, []).append(ended)
        try:
            yield
        finally:
            ended.set()
            self._under_way[local_id].remove(ended)
            if not self._under_way[local_id]:
                del self._under_way[local_id]

    def imported(self, local_id: str, revision_id: str, *, begun: datetime, ended: datetime) -> None:
        """An import of the artifact has worked and is stored; call it inside `importing`."""
        before = self._imported.pop(local_id, None)
        earlier = frozenset() if before is None else {before.revision_id, *list(before.earlier)[: _REVISIONS - 1]}
        self._imported[local_id] = _Imported(revision_id, begun, ended, frozenset(earlier - {revision_id}))
        while len(self._imported) > _REMEMBERED:
            self._imported.popitem(last=False)

    async def settled(self, local_id: str, patience: float) -> None:
        """Returns when no import of the artifact is under way, or after `patience` seconds."""
        for ended in tuple(self._under_way.get(local_id, ())):
            try:
                async with asyncio.timeout(max(0.0, patience)):
                    await ended.wait()
            except TimeoutError:
                return

    def busy(self, local_id: str) -> bool:
        """Whether an import of the artifact is under way."""
        return local_id in self._under_way

    def repeats(self, row: ArtifactRow, event: DeploymentEvent, performed_at: datetime | None) -> bool:
        """Whether `event` tells of nothing but an import of ours, `row` being what it is about."""
        if not self.enabled or row.origin != "gateway_api" or row.desired_state != "deployed":
            return False
        last = self._imported.get(row.uuid)
        if self._is_of(event, {revision_of(row), last.revision_id if last else ""}):
            return True
        if last is None or performed_at is None or _is_derived(event.deployment_id):
            return False
        return last.begun - self._window <= performed_at <= last.ended + self._window

    def superseded(self, row: ArtifactRow, event: DeploymentEvent, performed_at: datetime | None) -> bool:
        """Whether a later import of ours has taken the place of what the event tells of."""
        last = self._imported.get(row.uuid)
        if not self.enabled or row.origin != "gateway_api" or last is None:
            return False
        too_old = performed_at is not None and performed_at < last.begun - self._window
        return too_old or self.replaced(row, event)

    def replaced(self, row: ArtifactRow, event: DeploymentEvent) -> bool:
        """Whether the event is about a revision of ours that a later import of ours has replaced."""
        last = self._imported.get(row.uuid)
        return row.origin == "gateway_api" and last is not None and self._is_of(event, last.earlier)

    def of_departing(self, record: ApimRecord, event: DeploymentEvent) -> bool:
        """Whether the event tells of our import of an API that is deleted here and leaves the API Manager next.

        As long as that import is not answered its ids are unknown: then the name has to do.
        """
        if record.api_id not in {None, event.artifact_id}:
            return False
        return record.begun is not None or self._is_of(event, {record.revision or ""})

    def _is_of(self, event: DeploymentEvent, revisions: Iterable[str]) -> bool:
        """Whether the event is about one of these revisions."""
        return any(
            event.deployment_id == deployment_id(event.artifact_id, self._gateway_id, revision)
            for revision in revisions
            if revision
        )


def _is_derived(identifier: str) -> bool:
    """Whether the id is made of the revision, so that one that is not of a revision of ours is of somebody else's."""
    try:
        return uuid.UUID(identifier).version == 3
    except ValueError:
        return False


def revision_of(row: ArtifactRow) -> str:
    """The revision that the last sync of the artifact made at the API Manager; empty when none is noted."""
    try:
        noted = msgspec.json.decode(row.cp_sync_info or "", type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return noted.get("revision", "")
