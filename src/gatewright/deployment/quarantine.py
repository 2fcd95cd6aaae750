"""Artifacts whose newest version does not serve: found, named, kept serving with their last good version.

Two ways in: an artifact does not compile, or routers refuse a resource that it is part of. The way out is a newer
version, or the same one once its cause is gone. The last good version is kept in the store as long as it is needed, so
that it serves again after a restart.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from gatewright.deployment import metrics
from gatewright.deployment.ids import Clock
from gatewright.deployment.isolation import Isolation
from gatewright.deployment.placement import Placement
from gatewright.deployment.serving import DataPlane, ResourceId, Rolled, ServingBoard
from gatewright.envoy.resource import ROUTES, SCOPE
from gatewright.model.api import Api
from gatewright.observability.logging import get_logger
from gatewright.store import Store, StoreUnavailable, last_good
from gatewright.store.errors import KeyFileError

REFUSED_BY_ROUTER = "REFUSED_BY_ROUTER"
_AGAIN_S = 1.0
_MADE_OF_APIS = frozenset({ROUTES, SCOPE})
_SEALED = "sealed"
_log = get_logger(__name__)


class Quarantine:
    """Used by the rollout only."""

    def __init__(
        self,
        store: Store,
        placement: Placement,
        board: ServingBoard,
        *,
        data_plane: DataPlane | None,
        clock: Clock,
    ) -> None:
        self._store = store
        self._placement = placement
        self._board = board
        self._data_plane = data_plane
        self._clock = clock
        self._isolation = Isolation(placement, data_plane) if data_plane is not None else None
        self._kept: set[str] = set()
        self._refusals: dict[ResourceId, tuple[str, str]] = {}
        self._noted = asyncio.Event()
        if data_plane is not None:
            data_plane.on_refusal(self._note)

    def restore(self, kept: Mapping[str, Any]) -> None:
        """What the store kept over the restart: these versions were good."""
        for uuid, plain in kept.items():
            self._kept.add(uuid)
            # It may have been made by a release with another model, or sealed with a key that is gone.
            with contextlib.suppress(msgspec.DecodeError, KeyFileError):
                self._placement.good[uuid] = self._opened(plain)

    async def add(self, uuid: str, problem: Rolled) -> None:
        """Keep what serves over a restart, then say so.

        Of an artifact that routers refuse and that has served nothing yet, it is kept that it was to blame.
        """
        serving = self._placement.index.get(uuid)
        gateway_id = self._store.gateway_id
        if serving is not None:
            await self._keep(
                uuid, partial(last_good.keep, gateway_id=gateway_id, uuid=uuid, model=self._sealed(serving))
            )
        elif problem.code == REFUSED_BY_ROUTER:
            await self._keep(uuid, partial(last_good.blame, gateway_id=gateway_id, uuid=uuid))
        self._board.put(
            uuid,
            msgspec.structs.replace(
                problem,
                serving_version=serving.content_hash if serving is not None else None,
                resources=self._placement.resources_of(uuid),
            ),
        )

    async def _keep(self, uuid: str, write: Callable[[Connection], None]) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._store.write(write)
            self._kept.add(uuid)

    def _sealed(self, api: Api) -> object:
        """A model holds the values of the secrets that its document names; without keys there are no secrets."""
        try:
            return {_SEALED: self._store.seal(msgspec.json.encode(api).decode())}
        except KeyFileError:
            return msgspec.to_builtins(api)

    def _opened(self, kept: Any) -> Api:  # noqa: ANN401 - as it comes from the store
        if isinstance(kept, dict) and _SEALED in kept:
            return msgspec.json.decode(self._store.unseal(kept[_SEALED]), type=Api)
        return msgspec.convert(kept, Api)

    def retriable(self) -> list[str]:
        """Artifacts that did not compile: the cause may be gone without a new version (a secret, a policy)."""
        return [uuid for uuid in self._board.quarantined() if not self._is_refused(uuid)]

    async def drop_needless(self) -> None:
        """Forget kept versions of artifacts whose newest version was accepted."""
        for uuid in list(self._kept):
            if self._is_good(uuid):
                await self._drop(uuid)

    def forget(self, uuid: str) -> None:
        """The artifact is gone; the store has dropped its row with it."""
        self._kept.discard(uuid)
        self._placement.good.pop(uuid, None)

    def count(self) -> None:
        """Show how many there are."""
        metrics.QUARANTINED.set(len(self._board.quarantined()))

    async def run(self) -> None:
        """Look into refusals until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._refusals:
                key = next(iter(self._refusals))
                version, words = self._refusals.pop(key)
                if self._placement.version(key) != version:
                    continue
                try:
                    await self._look_into(key, words)
                except Exception:  # noqa: BLE001 - the next refusal must be looked into all the same
                    _log.exception("a refusal could not be looked into", resource=key[1])

    async def _look_into(self, key: ResourceId, words: str) -> None:
        if self._isolation is None:
            return
        concerned = self._placement.users_of(key)
        if not concerned and key[0] in _MADE_OF_APIS:
            return  # It is about to leave: the APIs stand in other resources now.
        culprits = await self._isolation.find(key, self._kept)
        if culprits is None:
            # What comes of it is a refusal that may have been seen before, and then nobody would tell of it again.
            asyncio.get_running_loop().call_later(_AGAIN_S, self._reconsider, key, words)
            return
        if not culprits:
            _log.error("a router refuses a resource; no artifact can be blamed for it", resource=key[1], reason=words)
        for uuid, refused in culprits.items():
            _log.warning("a router refuses an artifact; its last good version serves on", artifact=uuid, reason=words)
            await self.add(
                uuid,
                Rolled(
                    "quarantined", self._clock(), version=refused.content_hash, code=REFUSED_BY_ROUTER, reason=words
                ),
            )
        self._board.reconsider(concerned)
        self.count()

    def _reconsider(self, key: ResourceId, words: str) -> None:
        version = self._placement.version(key)
        if self._data_plane is None or version is None:
            return
        if self._data_plane.now({key: version}).refused is not None:
            self._note(key, version, words)

    def _note(self, key: ResourceId, version: str, words: str) -> None:
        self._refusals[key] = (version, words)
        self._noted.set()

    def _is_refused(self, uuid: str) -> bool:
        entry = self._board.get(uuid)
        return entry is not None and entry.code == REFUSED_BY_ROUTER

    def _is_good(self, uuid: str) -> bool:
        entry = self._board.get(uuid)
        # The status has what routers of other controllers say: what they need must stay in the store.
        if entry is None or self._board.status(uuid).state == "quarantined":
            return False
        if self._data_plane is None or entry.state != "serving":
            return True
        settled = self._data_plane.now({key: self._placement.version(key) for key in entry.resources})
        return bool(settled.routers) and settled.refused is None and not settled.pending

    async def _drop(self, uuid: str) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._store.write(lambda connection: last_good.drop(connection, self._store.gateway_id, uuid))
            self._kept.discard(uuid)
