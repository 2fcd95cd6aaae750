"""`/drift` of the admin API: what the control plane wants against what is stored and what routers run. Reads only."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from starlette.responses import Response

from gatewright.management.admin import ADMIN
from gatewright.management.bodies import answer, failure
from gatewright.management.matching import Operation
from gatewright.management.requests import Call

MOST_NAMES: Final = 200


class Comparing(Protocol):
    """Who can compare: the link to the control plane."""

    async def drift(self, names: Sequence[str]) -> Mapping[str, Any]:
        """The comparison of these artifacts (all when empty), ready for JSON; `error` says why there is none."""
        ...


class Drift:
    """The endpoint."""

    def __init__(self, link: Comparing) -> None:
        self._link = link

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (Operation("GET", "/drift", self.drift, ADMIN, frozenset({"names"})),)

    async def drift(self, call: Call) -> Response:
        """200 also when something differs; `names` are handles or ids, separated by commas."""
        names = [name.strip() for name in call.query.get("names", "").split(",") if name.strip()]
        if len(names) > MOST_NAMES:
            return failure(400, f"more than {MOST_NAMES} names")
        result = await self._link.drift(names)
        return failure(409, str(result["error"])) if "error" in result else answer(result)
