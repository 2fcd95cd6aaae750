"""From a document that somebody sent to what is stored: checked, completed by what it inherits, credentials sealed.

Touches nothing but keys for encryption; large documents are checked in a thread.
"""

import asyncio
import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from gatewright.deployment import admission
from gatewright.deployment.kinds import Base, KindRules, Prepared
from gatewright.deployment.sealing import Seals, opened, sealed
from gatewright.deployment.secrets import Secrets
from gatewright.observability import tracing
from gatewright.store import StoreUnavailable
from gatewright.store.errors import KeyFileError
from gatewright.store.rows import ArtifactRow


class Preparation:
    """Called before a write, outside its transaction."""

    def __init__(self, seals: Seals, secrets: Secrets | None = None) -> None:
        self._seals = seals
        self._secrets = secrets

    async def __call__(
        self,
        rules: KindRules,
        document: Mapping[str, Any],
        *,
        freeze_defaults: bool,
        replaces: ArtifactRow | None = None,
    ) -> Prepared:
        """Prepare `document`, which takes the place of `replaces`.

        Raises what `KindRules.prepare` raises, and StoreUnavailable when a key for encryption is missing.
        """
        if self._secrets is not None:
            await self._secrets.catch_up(document)
        same_kind = replaces is not None and replaces.kind == rules.kind
        try:
            prepare = functools.partial(
                rules.prepare,
                document,
                freeze_defaults=freeze_defaults,
                replaces=self.opened(rules, replaces).document if replaces is not None and same_kind else None,
            )
            with tracing.span("admit", kind=rules.kind):
                prepared = prepare() if admission.is_small(document) else await asyncio.to_thread(prepare)
            return msgspec.structs.replace(
                prepared,
                document=sealed(prepared.document, rules.traits.credentials, self._seals),
                base=Base(replaces.document if replaces is not None else None) if rules.traits.inherits else None,
            )
        except KeyFileError as problem:
            raise StoreUnavailable(problem.message, problem.advice) from None

    def opened(self, rules: KindRules, row: ArtifactRow) -> ArtifactRow:
        """The row with its credentials in plain form. Raises KeyFileError."""
        document = opened(row.document, rules.traits.credentials, self._seals)
        return msgspec.structs.replace(row, document=document)
