"""Drift of what is no artifact: API keys, subscriptions with their plans, secrets. Reads only.

The same rules decide what belongs together as in the reconcile, so whatever a reconcile would leave alone is no
difference. Values of keys, tokens and secrets are compared by their hashes and never told.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.drift_report import ArtifactDrift, Code, Difference
from gatewright.controlplane.handlers import key_events, plan_events, subscription_events
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.controlplane.sync.diff import control_plane_id
from gatewright.deployment import Deployments, KeyEvent
from gatewright.deployment.ids import Clock
from gatewright.deployment.secrets import Secrets
from gatewright.store.rows import ApiKeyRow, ArtifactHead
from gatewright.wire.apikeys import ApiKeyRow as ListedKey
from gatewright.wire.kinds import KEY_SYNC_ORDER, ArtifactKind
from gatewright.wire.platform_secrets import ACTIVE

API_KEY: Final = "ApiKey"
SUBSCRIPTION: Final = "Subscription"
PLAN: Final = "SubscriptionPlan"
SECRET: Final = "Secret"  # noqa: S105 - the name of a kind

_ABSENT: Final = frozenset({403, 404})
"""The control plane does not know the API, or not at this gateway: it says nothing about its subscriptions."""

_MISSING: Final = "the control plane has it, the gateway has not"
_EXTRA: Final = "the gateway has it, the control plane has not"


class RecordDrift:
    """One look at everything besides artifacts."""

    def __init__(
        self,
        deployments: Deployments,
        rest: Rest,
        config: LinkConfig,
        *,
        secrets: Secrets | None,
        versions: Mapping[str, str],
        clock: Clock,
    ) -> None:
        """`versions`: the control plane's hash of each secret as it was when its value was stored; empty: unknown."""
        self._deployments = deployments
        self._rest = rest
        self._config = config
        self._secrets = secrets
        self._versions = versions
        self._clock = clock
        self.compared = 0
        self.found: dict[str, ArtifactDrift] = {}
        self.problems: list[str] = []

    async def look(self, names: frozenset[str], *, on_prem: bool) -> None:
        """Everything, or with `names` only what belongs to these artifacts. Raises StoreUnavailable."""
        heads = [head for head in await self._deployments.heads() if not names or names & _names(head)]
        await self._keys(heads, on_prem=on_prem)
        if on_prem:
            return
        await self._subscriptions(heads)
        if not names:
            await self._plans()
            await self._secret_values()

    # -- keys ----------------------------------------------------------------------------------------------------------

    async def _keys(self, heads: Iterable[ArtifactHead], *, on_prem: bool) -> None:
        # Before the lists: what arrives meanwhile does not look superfluous, and the second look decides.
        by_kind = {kind: [head for head in heads if head.kind == kind.value] for kind in KEY_SYNC_ORDER}
        stored = await self._deployments.active_keys()
        for kind in (ArtifactKind.REST_API,) if on_prem else KEY_SYNC_ORDER:
            if not by_kind[kind]:
                continue
            listed = await self._rest.api_keys(kind, self._config.issuer)
            if isinstance(listed, CallFailed):
                self.problems.append(str(listed))
                continue
            if on_prem and not listed:
                # An API Manager that has just started answers so too; the reconcile ends nothing for it either.
                continue
            self._compare_keys(by_kind[kind], stored, [row for row in listed if row.usable])

    def _compare_keys(
        self, heads: Iterable[ArtifactHead], stored: Iterable[ApiKeyRow], listed: Iterable[ListedKey]
    ) -> None:
        here = {head.uuid: head for head in heads}
        local = {head.cp_artifact_id: head.uuid for head in here.values() if head.cp_artifact_id} | {u: u for u in here}
        keys = [key for key in stored if key.api_id in here]
        by_name = {(key.api_id, key.name): key for key in keys}
        by_hash = {(key.api_id, key.key_hash): key for key in keys}
        wanted: set[str] = set()
        for row in listed:
            api = local.get(row.artifact_uuid)
            if api is None:
                continue
            try:
                event = key_events.from_row(row)
            except OverflowError:
                self.problems.append(f"key {row.name!r}: a time is beyond all calendars")
                continue
            hashed = (api, event.key_hash.strip().lower())
            key = by_name.get((api, row.name)) if row.name else by_hash.get(hashed)
            if key is not None:
                wanted.add(key.uuid)
            if key is None and event.expires_at is not None and event.expires_at <= self._clock():
                # It has ended: neither side lets anybody in with it.
                continue
            handle = f"{here[api].handle}/{row.name or row.uuid}"
            self._note(API_KEY, handle, key.uuid if key else row.uuid or handle, _key_differences(event, key))
        for key in keys:
            managed = key.origin == "control_plane" and (not self._config.issuer or key.issuer == self._config.issuer)
            if managed and key.uuid not in wanted:
                handle = f"{here[key.api_id].handle}/{key.name}"
                self._note(API_KEY, handle, key.uuid, [_difference("EXTRA", _EXTRA)])

    # -- subscriptions and plans ---------------------------------------------------------------------------------------

    async def _subscriptions(self, heads: Iterable[ArtifactHead]) -> None:
        stored = await self._deployments.subscriptions.list()
        for head in heads:
            managed_api = head.origin == "control_plane" or bool(head.cp_artifact_id)
            if head.kind != ArtifactKind.REST_API.value or not managed_api:
                continue
            listed = await self._rest.subscriptions(control_plane_id(head))
            if isinstance(listed, CallFailed):
                if listed.status not in _ABSENT:
                    self.problems.append(str(listed))
                continue
            events = [subscription_events.from_row(row, control_plane_id(head)) for row in listed if row.id]
            own = {row.uuid: row for row in stored if row.api_id == head.uuid}
            differing = {e.uuid for e in self._deployments.subscriptions.differing(head.uuid, own.values(), events)}
            for event in events:
                found = _state_of(event.uuid, own, differing)
                self._note(SUBSCRIPTION, f"{head.handle}/{event.uuid}", event.uuid, found)
            for uuid in own.keys() - {event.uuid for event in events}:
                if own[uuid].origin == "control_plane":
                    self._note(SUBSCRIPTION, f"{head.handle}/{uuid}", uuid, [_difference("EXTRA", _EXTRA)])

    async def _plans(self) -> None:
        listed = await self._rest.plans()
        if isinstance(listed, CallFailed):
            self.problems.append(str(listed))
            return
        stored = {row.uuid: row for row in await self._deployments.subscriptions.plans()}
        try:
            events = [plan_events.from_row(row) for row in listed if row.id]
        except OverflowError:
            self.problems.append("a plan has an expiryTime beyond all calendars")
            return
        differing = {event.uuid for event in self._deployments.subscriptions.differing_plans(stored.values(), events)}
        for event in events:
            self._note(PLAN, event.name or event.uuid, event.uuid, _state_of(event.uuid, stored, differing))
        for uuid in stored.keys() - {event.uuid for event in events}:
            if stored[uuid].origin == "control_plane":
                self._note(PLAN, stored[uuid].name, uuid, [_difference("EXTRA", _EXTRA)])

    # -- secrets -------------------------------------------------------------------------------------------------------

    async def _secret_values(self) -> None:
        """A secret that the control plane lists no more stays here on purpose and is no difference."""
        if self._secrets is None:
            return
        listed = await self._rest.secrets(include_values=False)
        if isinstance(listed, CallFailed):
            self.problems.append(str(listed))
            return
        known = self._secrets.known()
        for row in listed:
            if row.status != ACTIVE or not row.handle:
                continue
            differences = []
            version = self._versions.get(row.handle, "")
            if row.handle not in known:
                differences.append(_difference("MISSING", _MISSING))
            elif version and version != row.hash:
                differences.append(_difference("FIELD", "the control plane has another value", field="value"))
            self._note(SECRET, row.handle, row.handle, differences)

    def _note(self, kind: str, handle: str, uuid: str, differences: list[Difference]) -> None:
        self.compared += 1
        if differences:
            drift = ArtifactDrift(kind=kind, handle=handle, id=uuid, differences=tuple(differences))
            self.found[f"{kind}/{handle}/{uuid}"] = drift


def _names(head: ArtifactHead) -> frozenset[str]:
    return frozenset({head.handle, head.uuid, head.cp_artifact_id or head.uuid})


def _difference(code: Code, message: str, *, field: str = "") -> Difference:
    return Difference(place="store", code=code, message=message, field=field)


def _state_of(uuid: str, stored: Mapping[str, object], differing: set[str]) -> list[Difference]:
    if uuid not in stored:
        return [_difference("MISSING", _MISSING)]
    return [_difference("STATE", "the gateway has another version of it")] if uuid in differing else []


def _key_differences(event: KeyEvent, key: ApiKeyRow | None) -> list[Difference]:
    if key is None:
        return [_difference("MISSING", _MISSING)]
    found = []
    if key.key_hash != event.key_hash.strip().lower():
        found.append(_difference("FIELD", "the gateway has another value", field="value"))
    if _seconds(key.expires_at) != _seconds(event.expires_at):
        found.append(
            Difference(
                place="store",
                code="FIELD",
                message="the field differs",
                field="expiresAt",
                wanted=_shown(event.expires_at),
                found=_shown(key.expires_at),
            )
        )
    return found


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _shown(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
