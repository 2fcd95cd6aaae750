"""What this gateway tells of itself after each connect. Source: control-plane protocol reference 3.12."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gatewright.artifacts.policies import PolicyDefinition
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.observability.logging import get_logger
from gatewright.wire.manifest import (
    MANAGED_BY_ORGANIZATION,
    MANAGED_BY_PRODUCT,
    SYSTEM_POLICY_PREFIX,
    Manifest,
    ManifestPolicy,
)

COMPATIBLE_VERSION: Final = "1.2.0"
"""The release of the original whose documents and wire this gateway speaks: the control plane chooses by it."""

FUNCTIONALITY: Final = "regular"
DELAYS: Final = (2.0, 4.0)
"""Seconds before the second and the third attempt."""

_log = get_logger(__name__)


def manifest(definitions: Iterable[PolicyDefinition], version: str) -> Manifest:
    """Version and policies, those of the system left out."""
    policies = tuple(
        _policy(definition) for definition in definitions if not definition.name.startswith(SYSTEM_POLICY_PREFIX)
    )
    return Manifest(version=version, functionality_type=FUNCTIONALITY, policies=policies)


async def send_manifest(rest: Rest, gateway_id: str, told: Manifest) -> CallFailed | None:
    """At most three attempts; a refusal is final until the next connect and changes nothing else."""
    failure = await rest.manifest(gateway_id, told)
    for delay in DELAYS:
        if failure is None or not failure.temporary:
            break
        await asyncio.sleep(delay)
        failure = await rest.manifest(gateway_id, told)
    if failure is None:
        _log.info("manifest sent", version=told.version, policies=len(told.policies))
    else:
        _log.error("the control plane did not take the manifest", error=str(failure))
    return failure


def _policy(definition: PolicyDefinition) -> ManifestPolicy:
    return ManifestPolicy(
        name=definition.name,
        version=definition.version,
        display_name=definition.display_name,
        description=definition.description,
        parameters=_plain(definition.parameters),
        system_parameters=_plain(definition.system_parameters),
        managed_by=MANAGED_BY_PRODUCT if definition.managed_by == MANAGED_BY_PRODUCT else MANAGED_BY_ORGANIZATION,
    )


def _plain(schema: object) -> dict[str, Any] | None:
    return None if schema is None else msgspec.convert(msgspec.to_builtins(schema), dict[str, Any])
