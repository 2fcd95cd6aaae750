"""Everything that one gateway of the original has, in one transaction; what cannot be taken is named, not lost.

May touch the store. Sealed secrets stay in their envelopes: their key file must be among the configured ones.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gatewright.artifacts.credentials import Path as CredentialPath
from gatewright.deployment.sealing import sealed
from gatewright.deployment.takeover import rows
from gatewright.deployment.takeover.original import Original, Row
from gatewright.store import (
    Store,
    StoreError,
    api_keys,
    applications,
    artifacts,
    certificates,
    llm_proxies,
    plans,
    secrets,
    subscriptions,
)
from gatewright.store.errors import KeyFileError
from gatewright.store.rows import ArtifactRow, Origin

_ORDER: Final = ("LlmProviderTemplate", "LlmProvider", "LlmProxy", "RestApi", "Mcp")


class InTheWay(StoreError):
    """The store has artifacts already; nothing was written."""

    code = "TAKEOVER_TARGET"


class Taken(msgspec.Struct):
    """How many of each were taken, and what was not, with its reason."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    problems: list[str] = msgspec.field(default_factory=list)

    def skip(self, what: str, why: object) -> None:
        """Name something that was not taken."""
        self.problems.append(f"{what}: {why}")


async def take_over(
    original: Original, gateway_id: str, store: Store, credentials: Mapping[str, tuple[CredentialPath, ...]]
) -> Taken:
    """Take the rows that the original keeps for `gateway_id`. Raises InTheWay, StoreUnavailable.

    `credentials`: where documents of a kind hold credentials, which are sealed on their way in.
    """
    others = [each for each in await store.live_processes() if each.id != store.process_id]
    if others:
        raise InTheWay(f"a controller works on {store.where}: {others[0].name}", "Stop it first.")
    return await store.write(lambda connection: _Taking(original, gateway_id, store, credentials).run(connection))


class _Taking:
    def __init__(
        self,
        original: Original,
        gateway_id: str,
        store: Store,
        credentials: Mapping[str, tuple[CredentialPath, ...]],
    ) -> None:
        self._original = original
        self._from = gateway_id
        self._to = store.gateway_id
        self._store = store
        self._credentials = credentials
        self._taken = Taken()
        self._origins: dict[str, Origin] = {}

    def run(self, connection: Connection) -> Taken:
        known = artifacts.everything(connection, self._to)
        if known or secrets.everything(connection, self._to):
            raise InTheWay(
                f"{self._store.where} already holds artifacts or secrets of the gateway {self._to}",
                "Take over into a new database, before the gateway is started for the first time.",
            )
        self._artifacts(connection)
        self._keys(connection)
        self._subscriptions(connection)
        self._applications(connection)
        self._certificates(connection)
        self._secrets(connection)
        return self._taken

    def _artifacts(self, connection: Connection) -> None:
        heads = list(self._original.rows("artifacts", self._from))
        for kind in sorted({str(head["kind"]) for head in heads} - set(_ORDER)):
            number = sum(head["kind"] == kind for head in heads)
            self._taken.skip(f"{number} artifacts of kind {kind}", "this gateway has no such kind")
        for kind in _ORDER:
            details = {str(row["uuid"]): row for row in self._original.rows(rows.DETAILS[kind], self._from)}
            for head in heads:
                if head["kind"] == kind:
                    self._artifact(connection, head, details.get(str(head["uuid"])))

    def _artifact(self, connection: Connection, head: Row, detail: Row | None) -> None:
        what = f"{head['kind']} {head['handle']}"
        if detail is None:
            self._taken.skip(what, "its document is missing")
            return

        def put() -> None:
            row = rows.artifact(head, detail["configuration"])
            fields = self._credentials.get(row.kind, ())
            row = msgspec.structs.replace(row, document=sealed(row.document, fields, self._store))
            artifacts.add(connection, self._to, row)
            self._bind(connection, row, detail)
            self._origins[row.uuid] = row.origin

        self._try(connection, what, str(head["kind"]), put)

    def _bind(self, connection: Connection, row: ArtifactRow, detail: Row) -> None:
        provider = detail.get("provider_uuid")
        if row.kind == "LlmProxy" and provider:
            llm_proxies.bind(connection, self._to, row.uuid, str(provider))

    def _keys(self, connection: Connection) -> None:
        def put(row: Row) -> None:
            owner = self._origins.get(str(row["artifact_uuid"]), "gateway_api")
            api_keys.put(connection, self._to, rows.api_key(row, owner))

        self._each(
            connection, "api_keys", "ApiKey", lambda row: f"API key {row['name']} of {row['artifact_uuid']}", put
        )

    def _subscriptions(self, connection: Connection) -> None:
        managed: Origin = "control_plane" if "control_plane" in self._origins.values() else "gateway_api"

        def put_plan(row: Row) -> None:
            plans.put(connection, self._to, rows.plan(row, managed))

        def put(row: Row) -> None:
            owner = self._origins.get(str(row["api_id"]), managed)
            subscriptions.put(connection, self._to, rows.subscription(row, owner))

        self._each(
            connection,
            "subscription_plans",
            "SubscriptionPlan",
            lambda row: f"subscription plan {row['plan_name']}",
            put_plan,
        )
        self._each(connection, "subscriptions", "Subscription", lambda row: f"subscription {row['uuid']}", put)

    def _applications(self, connection: Connection) -> None:
        keys: dict[str, list[str]] = {}
        for row in self._original.rows("application_api_keys", self._from):
            keys.setdefault(str(row["application_uuid"]), []).append(str(row["api_key_id"]))

        def put(row: Row) -> None:
            made = rows.application(row)
            applications.put(connection, self._to, made)
            applications.map_keys(connection, self._to, made.uuid, keys.get(made.uuid, ()), datetime.now(UTC))

        self._each(connection, "applications", "Application", lambda row: f"application {row['application_name']}", put)

    def _certificates(self, connection: Connection) -> None:
        def put(row: Row) -> None:
            certificates.add(connection, self._to, rows.certificate(row))

        self._each(connection, "certificates", "Certificate", lambda row: f"certificate {row['name']}", put)

    def _secrets(self, connection: Connection) -> None:
        def put(row: Row) -> None:
            made = rows.secret(row)
            self._store.unseal(made.ciphertext)
            secrets.add(connection, self._to, made)

        self._each(connection, "secrets", "Secret", lambda row: f"secret {row['handle']}", put)

    def _each(
        self,
        connection: Connection,
        table: str,
        kind: str,
        name: Callable[[Row], str],
        put: Callable[[Row], object],
    ) -> None:
        for row in self._original.rows(table, self._from):
            self._try(connection, name(row), kind, partial(put, row))

    def _try(self, connection: Connection, what: str, kind: str, put: Callable[[], object]) -> None:
        """One row in a savepoint of its own: what cannot be taken takes nothing else along."""
        try:
            with connection.begin_nested():
                put()
        except (ValueError, KeyError, OverflowError) as problem:
            self._taken.skip(what, problem)
        except IntegrityError:
            self._taken.skip(what, "another one with the same identity was taken before")
        except KeyFileError as problem:
            self._taken.skip(what, f"{problem.message}. Add the original's key file to controller.encryption.providers")
        else:
            self._taken.counts[kind] += 1
