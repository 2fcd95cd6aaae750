"""Secrets that deployed artifacts refer to. They come before the artifacts, and are never deleted here.

Source: control-plane protocol reference 4.7.
"""

from typing import Final

from gatewright.controlplane.platform_secrets import PlatformSecrets
from gatewright.controlplane.sync.contract import Circumstances
from gatewright.controlplane.sync.report import StepReport

_MOST_ERRORS: Final = 20


class SecretStep:
    """See Step."""

    def __init__(self, secrets: PlatformSecrets) -> None:
        self._secrets = secrets

    def applies(self, circumstances: Circumstances) -> bool:
        """Not with an API Manager, which has none."""
        return self._secrets.enabled and not circumstances.on_prem

    async def run(self, circumstances: Circumstances) -> StepReport:
        """See Step."""
        del circumstances
        counts, errors = await self._secrets.refresh()
        return StepReport(name="secrets", counts=dict(counts), errors=tuple(errors[:_MOST_ERRORS]))
