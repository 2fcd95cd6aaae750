"""What was deleted a short while ago, so that a list that is older than the deletion does not bring it back.

And what was undeployed before it was known here, so that its deployment, if that comes later, does not deploy it.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime


class Tombstones:
    """Ids and when they were deleted, in seconds of `now`; the oldest go when there are too many."""

    def __init__(self, now: Callable[[], float], limit: int = 10_000) -> None:
        self._now = now
        self._limit = limit
        self._at: OrderedDict[str, float] = OrderedDict()

    def put(self, identifier: str, moment: float | None = None) -> None:
        """It is deleted at `moment`, or now; an earlier moment than the one that is known changes nothing."""
        known = self._at.pop(identifier, -1.0)
        self._at[identifier] = max(known, self._now() if moment is None else moment)
        while len(self._at) > self._limit:
            self._at.popitem(last=False)

    def since(self, identifier: str, moment: float) -> bool:
        """Whether it was deleted at `moment` or later."""
        return self._at.get(identifier, -1.0) >= moment

    def undeploy(self, artifact_id: str, performed_at: datetime) -> None:
        """An artifact that is not known here was undeployed, at that time of the control plane."""
        self.put(_undeployment(artifact_id), performed_at.timestamp())

    def undeployed(self, artifact_id: str, performed_at: datetime | None) -> bool:
        """Whether that was at the time of this deployment, or later."""
        return performed_at is not None and self.since(_undeployment(artifact_id), performed_at.timestamp())


def _undeployment(artifact_id: str) -> str:
    return f"undeployed {artifact_id}"
