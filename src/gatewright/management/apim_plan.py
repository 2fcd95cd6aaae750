"""`/apim/plan` of the admin API: what a sync to API Manager would do about each API, and why. Changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.responses import Response

from gatewright.management.admin import ADMIN
from gatewright.management.bodies import answer, failure
from gatewright.management.matching import Operation
from gatewright.management.requests import Call

MOST_NAMES: Final = 200


class Planning(Protocol):
    """Who can tell: the sync to API Manager."""

    async def plan(self, names: Sequence[str]) -> Mapping[str, Any]:
        """The plan for these APIs (all when empty), ready for JSON; `error` says why there is none."""
        ...


class ApimPlan:
    """The endpoint."""

    def __init__(self, sync: Planning) -> None:
        self._sync = sync

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (Operation("GET", "/apim/plan", self.plan, ADMIN, frozenset({"names"})),)

    async def plan(self, call: Call) -> Response:
        """200 whatever the plan says; `names` are handles, ids or display names, separated by commas."""
        names = [name.strip() for name in call.query.get("names", "").split(",") if name.strip()]
        if len(names) > MOST_NAMES:
            return failure(400, f"more than {MOST_NAMES} names")
        result = await self._sync.plan(names)
        return failure(409, str(result["error"])) if "error" in result else answer(result)
