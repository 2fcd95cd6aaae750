"""Whether the data plane serves a change: an own addition, for tools that have to know before they go on.

Answers to successful writes carry the change in a header; `GET /serving/{change}` waits until the routers have
accepted or refused it. Clients of the original ignore the header.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from gatewright.deployment.deployments import Deployments
from gatewright.deployment.results import Change
from gatewright.management.bodies import answer, failure
from gatewright.management.matching import Operation
from gatewright.management.requests import Call

CHANGE_HEADER = "x-gatewright-change"
ROLES = frozenset({"admin", "developer", "consumer"})
LONGEST_WAIT_S = 25.0
"""Below the patience of usual clients and proxies; who wants to wait longer asks again."""

_CHANGE = re.compile(r"(?P<seq>[0-9]{1,18})\.(?P<kind>[A-Za-z]{1,40})\.(?P<artifact>[0-9A-Za-z-]{1,64})")


class Serving:
    """The endpoint that waits."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (Operation("GET", "/serving/{change}", self.wait, ROLES, frozenset({"timeout"})),)

    async def wait(self, call: Call) -> Response:
        """GET: `state` is served, refused, stored (no router is connected) or timeout; `reason` has the words."""
        change = _read(call.path["change"])
        timeout = _seconds(call.query.get("timeout", "0"))
        if change is None or timeout is None:
            return failure(400, f"give the value of the header {CHANGE_HEADER}, and timeout in seconds")
        serving = await self._deployments.served(change, timeout)
        body: dict[str, Any] = {"state": serving.state, "routers": serving.routers}
        return answer({**body, "reason": serving.reason} if serving.reason else body)


def marked(response: Response, change: Change | None) -> Response:
    """`response` with the header that names `change`."""
    if change is not None:
        response.headers[CHANGE_HEADER] = f"{change.seq}.{change.kind}.{change.artifact_id}"
    return response


def _read(text: str) -> Change | None:
    found = _CHANGE.fullmatch(text)
    if found is None:
        return None
    return Change(
        seq=int(found["seq"]),
        kind=found["kind"],
        entity_id=found["artifact"],
        artifact_id=found["artifact"],
        action="UPDATE",
        correlation_id="",
        at=datetime.fromtimestamp(0, UTC),
    )


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if math.isfinite(seconds) else None
