"""The admin API: health, what is served and why not, the link, a dump of the configuration.

Paths of the original (`/health`, `/xds_sync_status`, `/config_dump`) and our own (`/status`, `/ready`, `/sync`).
Source: management API reference, section 19.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.responses import Response

from gatewright.artifacts import llm_template
from gatewright.artifacts.policies import PolicyCatalogue, PolicyDefinition
from gatewright.deployment.certificates import Certificates
from gatewright.deployment.deployments import Deployments
from gatewright.management.bodies import answer, failure, text, timestamp, unavailable
from gatewright.management.certificates import certificate
from gatewright.management.matching import Operation
from gatewright.management.requests import Call
from gatewright.store.certificates import CertificateRow
from gatewright.store.errors import StoreUnavailable
from gatewright.store.rows import ArtifactRow

ADMIN = frozenset({"admin"})
OPEN: frozenset[str] = frozenset()
REDACTED = "***REDACTED***"
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
        self,
        overview: Overview,
        deployments: Deployments,
        catalogue: PolicyCatalogue,
        *,
        config_dump: bool,
        certificates: Certificates | None = None,
    ) -> None:
        self._overview = overview
        self._deployments = deployments
        self._catalogue = catalogue
        self._config_dump = config_dump
        self._certificates = certificates

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
        try:
            return answer(await self._overview.status())
        except StoreUnavailable as error:
            return unavailable(error, "the artifacts cannot be read")

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
        try:
            rows = [row for row in await self._deployments.list() if row.kind != llm_template.KIND]
            trusted = [] if self._certificates is None else await self._certificates.list()
        except StoreUnavailable as error:
            return unavailable(error, "Failed to retrieve configuration dump")
        return await asyncio.to_thread(self._dumped, rows, trusted, self._overview.snapshot_version())

    def _dumped(self, rows: Sequence[ArtifactRow], trusted: Sequence[CertificateRow], version: int) -> Response:
        apis = [_api(row) for row in rows]
        policies = sorted(map(_policy, self._catalogue), key=lambda policy: (policy["name"], policy["version"]))
        return answer(
            {
                "status": "success",
                "timestamp": timestamp(datetime.now(UTC)),
                "apis": apis,
                "policies": policies,
                "certificates": [certificate(row) | {"notAfter": timestamp(row.not_after)} for row in trusted],
                "statistics": {
                    "totalApis": len(apis),
                    "totalPolicies": len(policies),
                    "totalCertificates": len(trusted),
                    "totalCertificateBytes": sum(len(row.certificate) for row in trusted),
                },
                "xds_sync": {"policy_chain_version": str(version)},
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


def _api(row: ArtifactRow) -> dict[str, Any]:
    metadata = {
        "createdAt": timestamp(row.created_at),
        "updatedAt": timestamp(row.updated_at),
        "status": row.desired_state,
    }
    if row.deployed_at is not None:
        metadata["deployedAt"] = timestamp(row.deployed_at)
    return {"configuration": _redacted(row.document), "metadata": metadata}


def _redacted(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A document without the credentials of upstreams. Documents are bounded in depth when they are read."""
    if isinstance(value, Mapping):
        return {name: _redacted_auth(item) if name == "auth" else _redacted(item) for name, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list | tuple) else value


def _redacted_auth(auth: Any) -> Any:  # noqa: ANN401 - any JSON value
    plain = _redacted(auth)
    return {**plain, "value": REDACTED} if isinstance(plain, dict) and plain.get("value") else plain


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
