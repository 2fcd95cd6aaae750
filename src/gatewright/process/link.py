"""The link of a gateway that stands alone."""

from collections.abc import Mapping
from typing import Any

ADVICE = "Set controller.controlplane.host and controller.controlplane.token to connect."


class Standalone:
    """No control plane is configured; says so, and what to set."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def describe(self) -> Mapping[str, Any]:
        """For the status."""
        return {"state": "disconnected", "configured": False, "advice": ADVICE}

    async def sync(self) -> Mapping[str, Any]:
        """There is nothing to reconcile with."""
        return {"error": f"No control plane is configured. {ADVICE}"}
