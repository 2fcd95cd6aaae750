"""What a step is, and what all steps are told."""

from typing import Protocol

import msgspec

from gatewright.controlplane.sync.report import StepReport


class Circumstances(msgspec.Struct, frozen=True):
    """`on_prem`: the control plane is an API Manager. `started`: the event loop's clock at the beginning."""

    on_prem: bool
    started: float


class Step(Protocol):
    """One list of the control plane."""

    def applies(self, circumstances: Circumstances) -> bool:
        """Whether the control plane offers it and the settings want it."""
        ...

    async def run(self, circumstances: Circumstances) -> StepReport:
        """Compare and mend. Failures are in the report."""
        ...
