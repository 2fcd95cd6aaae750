"""The admin API: health, what is served and why not, the link, a dump of the configuration, metrics.

Paths of the original (`/health`, `/xds_sync_status`, `/config_dump`) and our own (`/status`, `/ready`, `/sync`).
Source: management API reference, section 19.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition
from gatewright.deployment.deployments import Deployments
from gatewright.management.bodies import answer, failure, text, timestamp
from gatewright.management.mux import Operation
from gatewright.management.requests import Call

ADMIN = frozenset({"admin"})
OPEN: frozenset[str] = frozenset()
ANY_ADDRESS = frozenset({"*", "0.0.0.0/0"})


class Overview(Protocol):
    """What the process knows of itself; gathered where the rooms are put together."""

    async def status(self) -> Mapping[str, Any]:
        """Controller, routers, link and every artifact, ready for JSON."""
        ...

    def readiness(self) -> tuple[bool, str]:
        """Whether the configuration is loaded and can be served, with a reason code."""
        ...

    def snapshot_version(self) -> int:
        """Counts the changes of what routers get."""
        ...

    async def sync(self) -> Mapping[str, Any]:
        """Reconcile with the control plane now."""
        ...


class Admin:
    """Endpoints of the admin port."""

    def __init__(
        self, overview: Overview, deployments: Deployments, catalogue: PolicyCatalogue, *, config_dump: bool
    ) -> None:
        self._overview = overview
        self._deployments = deployments
        self._catalogue = catalogue
        self._config_dump = config_dump

    def operations(self) -> Sequence[Operation]:
        """The table of the admin API."""
        return (
            Operation("GET", "/health", self.health, OPEN),
            Operation("GET", "/ready", self.ready, OPEN),
            Operation("GET", "/status", self.status, ADMIN),
            Operation("POST", "/sync", self.sync, ADMIN),
            Operation("GET", "/xds_sync_status", self.xds_sync_status, ADMIN),
            Operation("GET", "/config_dump", self.config_dump, ADMIN),
        )

    async def health(self, call: Call) -> Response:
        """The process is alive. Nothing else is checked."""
        del call
        now = datetime.now(UTC).replace(microsecond=0)
        return answer({"status": "healthy", "timestamp": timestamp(now)})

    async def ready(self, call: Call) -> Response:
        """200 once the configuration is loaded, else 503 with a reason code."""
        del call
        is_ready, reason = self._overview.readiness()
        return answer({"ready": is_ready, "reason": reason}, 200 if is_ready else 503)

    async def status(self, call: Call) -> Response:
        """Everything `gatewright status` shows."""
        del call
        return answer(await self._overview.status())

    async def sync(self, call: Call) -> Response:
        """Reconcile with the control plane and tell what changed."""
        del call
        result = await self._overview.sync()
        return failure(409, str(result["error"])) if "error" in result else answer(result)

    async def xds_sync_status(self, call: Call) -> Response:
        """The version of what routers get, as the original's test tools read it."""
        del call
        return answer(
            {
                "component": "gateway-controller",
                "policy_chain_version": str(self._overview.snapshot_version()),
                "timestamp": timestamp(datetime.now(UTC)),
            }
        )

    async def config_dump(self, call: Call) -> Response:
        """All artifacts and policy definitions. Stored documents, so placeholders of secrets stay placeholders."""
        del call
        if not self._config_dump:
            return text("404 page not found", 404)
        rows = await self._deployments.list()
        apis = [
            {
                "configuration": row.document,
                "metadata": {
                    "createdAt": timestamp(row.created_at),
                    "updatedAt": timestamp(row.updated_at),
                    "status": row.desired_state,
                    **({"deployedAt": timestamp(row.deployed_at)} if row.deployed_at else {}),
                },
            }
            for row in rows
        ]
        policies = [_policy(definition) for definition in self._catalogue]
        return answer(
            {
                "status": "success",
                "timestamp": timestamp(datetime.now(UTC)),
                "apis": apis,
                "policies": policies,
                "certificates": [],
                "statistics": {
                    "totalApis": len(apis),
                    "totalPolicies": len(policies),
                    "totalCertificates": 0,
                    "totalCertificateBytes": 0,
                },
                "xds_sync": {"policy_chain_version": str(self._overview.snapshot_version())},
            }
        )


def address_guard(allowed: Sequence[str]) -> Callable[[Call], Response | None]:
    """Refuses peers whose address is not listed; compared as text, as the original does."""
    names = frozenset(allowed)

    def guard(call: Call) -> Response | None:
        peer = call.request.client.host if call.request.client else ""
        if names & ANY_ADDRESS or peer in names:
            return None
        return text("Forbidden", 403)

    return guard


def metrics_app(exposition: Callable[[], bytes]) -> ASGIApp:
    """The metrics port: `/metrics` in Prometheus text, `/health`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _metrics_answer(Request(scope), exposition)(scope, receive, send)

    return app


def _metrics_answer(request: Request, exposition: Callable[[], bytes]) -> Response:
    if request.url.path == "/metrics":
        return Response(exposition(), 200, {"content-type": "text/plain; version=0.0.4; charset=utf-8"})
    if request.url.path == "/health":
        return Response("OK", 200, {"content-type": "text/plain; charset=utf-8"})
    return text("404 page not found", 404)


def _policy(definition: PolicyDefinition) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": definition.name,
        "version": definition.version,
        "managedBy": definition.managed_by,
    }
    optional = {
        "displayName": definition.display_name,
        "description": definition.description,
        "parameters": definition.parameters,
        "systemParameters": definition.system_parameters,
    }
    return {**described, **{name: value for name, value in optional.items() if value}}
