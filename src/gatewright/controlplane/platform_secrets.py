"""Secrets of the control plane: which of them are known here in which version, and how they come.

Source: control-plane protocol reference 3.11, 4.7. Values go from the answer into the encrypted store; nothing here
keeps them or puts them into a text.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import SecretStr

from gatewright.artifacts.templates import referenced_secrets
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.controlplane.words import quoted
from gatewright.deployment.secrets import Secrets
from gatewright.observability.logging import get_logger
from gatewright.store import StoreUnavailable
from gatewright.store.errors import KeyFileError
from gatewright.wire.platform_secrets import ACTIVE, SecretRow

MOST_REFERENCES: Final = 100
"""Secrets of one document that are asked for."""

PATIENCE: Final = 20.0
"""Seconds that a deployment waits for its secrets."""

MISSING_FOR: Final = 5.0
"""Seconds in which a secret that could not be had is not asked for again."""

_MOST_MISSING: Final = 10_000
_LONGEST_HANDLE: Final = 255
_log = get_logger(__name__)


class PlatformSecrets:
    """One per link. `secrets` None: this gateway has no place for secrets, and nothing is asked for."""

    def __init__(self, rest: Rest, secrets: Secrets | None, now: Callable[[], float]) -> None:
        self._rest = rest
        self._secrets = secrets
        self._now = now
        self._hashes: dict[str, str] = {}
        self._missing: dict[str, float] = {}
        self._fetches: dict[str, asyncio.Task[str]] = {}

    @property
    def enabled(self) -> bool:
        """Whether secrets can be kept."""
        return self._secrets is not None

    @property
    def versions(self) -> Mapping[str, str]:
        """The control plane's hash of each secret when its value came; empty: it came without one."""
        return self._hashes

    async def stop(self) -> None:
        """End what is under way."""
        tasks = list(self._fetches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def unknown(self, document: Mapping[str, Any]) -> list[str]:
        """The secrets that the document refers to and the control plane has not told yet, to be fetched."""
        if self._secrets is None:
            return []
        return [handle for handle in sorted(referenced_secrets(document, {})) if self._wanted(handle)][:MOST_REFERENCES]

    async def fetch(self, handles: Iterable[str]) -> None:
        """Fetch these, within `PATIENCE`. Failures are logged only."""
        await asyncio.wait([self._fetching(handle) for handle in handles], timeout=PATIENCE)

    async def refresh(self) -> tuple[Counter[str], list[str]]:
        """All of them with their values the first time, later only those that have changed: counts and errors."""
        counts: Counter[str] = Counter()
        bulk = not self._hashes
        listed = await self._rest.secrets(include_values=bulk)
        if isinstance(listed, CallFailed):
            return counts, [str(listed)]
        errors: list[str] = []
        for row in _usable(listed):
            if not bulk and self._hashes.get(row.handle) == row.hash:
                counts["unchanged"] += 1
                continue
            value = row.value if row.value is not None else None if bulk else await self._value(row.handle, errors)
            if value is None:
                counts["missing"] += 1
                continue
            problem = await self._keep(row.handle, value, row.hash, name=row.name)
            if problem:
                errors.append(problem)
            else:
                counts["stored"] += 1
        return counts, errors

    # -- inside --------------------------------------------------------------------------------------------------------

    def _wanted(self, handle: str) -> bool:
        asked = self._missing.get(handle)
        return handle not in self._hashes and (asked is None or self._now() - asked > MISSING_FOR)

    def _fetching(self, handle: str) -> asyncio.Task[str]:
        """One call for a secret, however many deployments want it at the same time."""
        task = self._fetches.get(handle)
        if task is None:
            task = self._fetches[handle] = asyncio.create_task(self._fetch(handle), name="secret")
            task.add_done_callback(lambda _done: self._fetches.pop(handle, None))
        return task

    async def _fetch(self, handle: str) -> str:
        errors: list[str] = []
        value = await self._value(handle, errors)
        # Without a hash: the next list tells whether the value is still the right one.
        problem = errors[0] if value is None else await self._keep(handle, value, "")
        if problem:
            _log.warning("a secret of a deployment could not be had", why=problem)
            if len(self._missing) >= _MOST_MISSING:
                self._missing.clear()
            self._missing[handle] = self._now()
        return problem

    async def _value(self, handle: str, errors: list[str]) -> str | None:
        answer = await self._rest.secret_value(handle)
        if isinstance(answer, CallFailed):
            errors.append(str(answer))
            return None
        return answer

    async def _keep(self, handle: str, value: str, version: str, *, name: str = "") -> str:
        """Store it; a sentence when that is impossible."""
        if self._secrets is None:
            return "there is no store for secrets"
        try:
            await self._secrets.put(handle, SecretStr(value), name=name)
        except (StoreUnavailable, KeyFileError) as problem:
            return f"secret {quoted(handle)} cannot be stored: {type(problem).__name__}"
        self._hashes[handle] = version
        self._missing.pop(handle, None)
        return ""


def _usable(rows: Iterable[SecretRow]) -> list[SecretRow]:
    return [row for row in rows if row.status == ACTIVE and row.handle and len(row.handle) <= _LONGEST_HANDLE]
