"""Drift: what the control plane wants, what is stored here, what routers run, compared artifact by artifact.

Reads only. One comparison at a time, bounded in time, documents fetched in batches. A difference is told only when a
second look sees it too: between the list of the control plane and our own something may have been under way.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from gatewright.artifacts import llm_template
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.controlplane.apim.kept import restored
from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.drift_judgement import (
    Pair,
    document_differences,
    lacks_routers,
    router_differences,
    state_differences,
    with_frozen_defaults,
)
from gatewright.controlplane.drift_records import RecordDrift
from gatewright.controlplane.drift_report import MOST_ARTIFACTS, ArtifactDrift, Difference, Drift
from gatewright.controlplane.handlers.documents import Unusable, read_document
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.controlplane.sync.diff import control_plane_id
from gatewright.controlplane.words import quoted
from gatewright.deployment import Deployments
from gatewright.deployment.ids import Clock
from gatewright.deployment.results import DeploymentError
from gatewright.deployment.secrets import Secrets
from gatewright.store import StoreUnavailable
from gatewright.store.errors import KeyFileError
from gatewright.store.rows import ArtifactRow
from gatewright.wire.deployments import DeploymentRow
from gatewright.wire.kinds import FETCH_ORDER, kind_of

TIME_LIMIT: Final = 100.0
"""Seconds for both looks."""

SETTLING: Final = 1.0
"""Seconds between the two looks."""

EXISTENCE_CHUNK: Final = 1_000
_MOST_PROBLEMS: Final = 20


class Impossible(Exception):
    """There is nothing to compare with; the text says why."""


class DriftCheck:
    """Compares. `on_prem` tells the present mode, `pushes` whether artifacts made here go to the control plane."""

    def __init__(
        self,
        deployments: Deployments,
        rest: Rest,
        config: LinkConfig,
        *,
        clock: Clock,
        on_prem: Callable[[], bool],
        secrets: Secrets | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """`secrets`, `versions`: see RecordDrift."""
        self._deployments = deployments
        self._rest = rest
        self._config = config
        self._clock = clock
        self._on_prem = on_prem
        self._secrets = secrets
        self._versions = versions if versions is not None else {}
        self._lock = asyncio.Lock()

    async def run(self, names: Iterable[str] = ()) -> Drift:
        """Compare all artifacts, or those with these handles or ids. Raises Impossible."""
        try:
            async with asyncio.timeout(TIME_LIMIT), self._lock:
                return await self._run(frozenset(names))
        except TimeoutError:
            raise Impossible(f"the comparison took more than {TIME_LIMIT:g} s; name some artifacts only") from None
        except StoreUnavailable as problem:
            raise Impossible(f"the stored artifacts cannot be read: {problem}") from None

    async def _run(self, names: frozenset[str]) -> Drift:
        first, records = await self._look(names, None), await self._look_at_records(names)
        second, again = first, records
        if first.found or records.found:
            await asyncio.sleep(SETTLING)
            second = await self._look(names, frozenset(first.found))
            again = await self._look_at_records(names)
        different = [second.found[key] for key in first.found if key in second.found]
        different += [again.found[key] for key in records.found if key in again.found]
        problems = (*first.problems, *second.problems, *records.problems, *again.problems)
        return Drift(
            at=self._clock(),
            host=self._config.host,
            compared=first.compared + records.compared,
            different=len(different),
            routers=len(first.routers | second.routers),
            artifacts=tuple(different[:MOST_ARTIFACTS]),
            more=max(0, len(different) - MOST_ARTIFACTS),
            unknown=tuple(sorted(names - first.named)),
            notes=tuple(first.notes()),
            problems=tuple(dict.fromkeys(problems))[:_MOST_PROBLEMS],
        )

    async def _look_at_records(self, names: frozenset[str]) -> RecordDrift:
        records = RecordDrift(
            self._deployments,
            self._rest,
            self._config,
            secrets=self._secrets,
            versions=self._versions,
            clock=self._clock,
        )
        await records.look(names, on_prem=self._on_prem())
        return records

    async def _look(self, names: frozenset[str], only: frozenset[str] | None) -> "_Look":
        answer = await self._rest.deployments()
        if isinstance(answer, CallFailed):
            raise Impossible(f"the control plane does not say what it wants: {answer}")
        local = await self._deployments.list()
        on_prem = self._on_prem()
        pushes = self._config.push and not on_prem
        look = _Look(self._deployments, self._rest, names, pushes=pushes, on_prem=on_prem)
        pairs = [pair for pair in look.pairs(local, answer.deployments) if only is None or pair.key in only]
        fetched = [pair for pair in pairs if pair.wanted and pair.remote is not None]
        for start in range(0, len(fetched), self._config.batch_size):
            await look.compare_documents(fetched[start : start + self._config.batch_size])
        with_documents = {pair.key for pair in fetched}
        others = [pair for pair in pairs if pair.key not in with_documents]
        await look.compare_others(others)
        return look


class _Look:
    """One look: what it saw, by the key of the pair."""

    def __init__(
        self, deployments: Deployments, rest: Rest, names: frozenset[str], *, pushes: bool, on_prem: bool
    ) -> None:
        self._deployments = deployments
        self._rest = rest
        self._names = names
        self._pushes = pushes
        self._on_prem = on_prem
        self._ignored = 0
        self._unserved = False
        self.compared = 0
        self.found: dict[str, ArtifactDrift] = {}
        self.named: set[str] = set()
        self.routers: set[str] = set()
        self.problems: list[str] = []

    def notes(self) -> Iterator[str]:
        """What people should know besides."""
        if self._unserved:
            yield "no router is connected: what Envoy runs could not be compared"
        if self._ignored:
            yield f"{self._ignored} deployments of kinds that this gateway does not have were left out"

    def pairs(self, local: Sequence[ArtifactRow], remote: Iterable[DeploymentRow]) -> list[Pair]:
        """Who belongs to whom. Of artifacts that are only there, the handle is not known before their document."""
        by_id = {row.uuid: row for row in local} | {row.cp_artifact_id: row for row in local if row.cp_artifact_id}
        rows: dict[str, DeploymentRow] = {}
        for row in remote:
            if kind_of(row.kind) not in FETCH_ORDER or not row.artifact_id:
                self._ignored += 1
                continue
            rows.setdefault(by_id[row.artifact_id].uuid if row.artifact_id in by_id else row.artifact_id, row)
        pairs = [Pair(rows.pop(row.uuid, None), row) for row in local]
        pairs = [pair for pair in pairs if not self._names or self._is_named(pair, "")]
        return [*pairs, *(Pair(row, None) for row in rows.values())]

    async def compare_documents(self, pairs: Sequence[Pair]) -> None:
        """Artifacts that the control plane wants served, with their documents."""
        ids = [pair.remote.deployment_id for pair in pairs if pair.remote is not None and pair.remote.deployment_id]
        batch = await self._rest.fetch_batch(ids) if ids else None
        if isinstance(batch, CallFailed):
            self.problems.append(str(batch))
        for pair in pairs:
            if pair.remote is None:
                continue
            if isinstance(batch, CallFailed):
                self._put(pair, [], fetched=False)
            else:
                documents = batch.documents if batch is not None else {}
                await self._compare_document(pair, pair.remote, documents.get(pair.remote.deployment_id))
            await asyncio.sleep(0)

    async def compare_others(self, pairs: Sequence[Pair]) -> None:
        """Artifacts without a document to compare: undeployed ones, those made here, those that are not listed."""
        unlisted = [p.local for p in pairs if p.remote is None and p.local and p.local.origin == "control_plane"]
        existing = await self._existing([control_plane_id(row) for row in unlisted])
        for pair in pairs:
            known = None if existing is None or pair.local is None else control_plane_id(pair.local) in existing
            self._put(pair, [], exists=known)

    async def _existing(self, ids: Sequence[str]) -> set[str] | None:
        """Those that the control plane knows; None when it does not say: an API Manager is not even asked."""
        if self._on_prem:
            return None
        existing: set[str] = set()
        for start in range(0, len(ids), EXISTENCE_CHUNK):
            answer = await self._rest.existing(ids[start : start + EXISTENCE_CHUNK])
            if isinstance(answer, CallFailed):
                self.problems.append(str(answer))
                return None
            existing |= answer
        return existing

    # -- inside --------------------------------------------------------------------------------------------------------

    async def _compare_document(self, pair: Pair, remote: DeploymentRow, body: bytes | None) -> None:
        kind = kind_of(remote.kind)
        if body is None or kind is None:
            message = "the control plane wants it served, and gives no document for it"
            self._put(pair, [Difference(place="control_plane", code="NO_DOCUMENT", message=message)])
            return
        handle = ""
        try:
            document = await read_document(body, kind)
            handle = _handle(document)
            if self._on_prem and pair.local is not None and pair.local.cp_artifact_id == remote.artifact_id:
                # What an API Manager has no place for is taken from our own copy, as at every deployment.
                document = restored(document, pair.local.document)
            if not self._names or self._is_named(pair, handle):
                differences, more = await self._fields(pair, document)
                self._put(pair, differences, more=more, handle=handle)
        except (Unusable, InvalidArtifact, DeploymentError) as problem:
            message = f"the gateway cannot take what the control plane wants: {quoted(str(problem))}"
            self._put(pair, [Difference(place="store", code="UNUSABLE", message=message)], handle=handle)
        except KeyFileError as problem:
            self.problems.append(f"{remote.kind} {handle or remote.artifact_id}: {problem.message}")
            self._put(pair, [], handle=handle)

    async def _fields(self, pair: Pair, document: Mapping[str, Any]) -> tuple[list[Difference], int]:
        frozen = pair.same_deployment
        prepared = await self._deployments.prepared(document, replaces=pair.local, freeze_defaults=not frozen)
        if pair.local is None:
            return [], 0
        stored = self._deployments.with_credentials(pair.local).document
        row = msgspec.structs.replace(pair.local, document=prepared.document)
        wanted = self._deployments.with_credentials(row).document
        return document_differences(with_frozen_defaults(wanted, stored) if frozen else wanted, stored)

    def _put(
        self,
        pair: Pair,
        differences: Sequence[Difference],
        *,
        more: int = 0,
        handle: str = "",
        exists: bool | None = None,
        fetched: bool = True,
    ) -> None:
        """Take down what is known of a pair, if it is one of those that are asked for."""
        if self._names and not self._is_named(pair, handle):
            return
        row, remote = pair.local, pair.remote
        all_of_it = [*state_differences(pair, exists=exists, pushes=self._pushes), *differences]
        if row is not None:
            status = self._deployments.status(row.uuid)
            self.routers |= {router.router for router in status.routers}
            self._unserved = self._unserved or lacks_routers(row, status)
            all_of_it += router_differences(row, status)
        # The gateway brings templates along that nobody asked about; they count when something is wrong with them.
        self.compared += fetched and (bool(all_of_it) or row is None or row.kind != llm_template.KIND)
        if all_of_it or more:
            self.found[pair.key] = ArtifactDrift(
                kind=row.kind if row is not None else remote.kind if remote is not None else "",
                handle=row.handle if row is not None else handle,
                id=pair.key,
                differences=tuple(all_of_it),
                more=more,
            )

    def _is_named(self, pair: Pair, handle: str) -> bool:
        own = {handle}
        if pair.local is not None:
            own |= {pair.local.handle, pair.local.uuid, pair.local.cp_artifact_id or ""}
        if pair.remote is not None:
            own.add(pair.remote.artifact_id)
        matching = self._names & own
        self.named |= matching
        return bool(matching)


def _handle(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else ""
    return quoted(str(name or ""))
