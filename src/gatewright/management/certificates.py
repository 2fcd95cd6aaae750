"""`/certificates`: authorities that HTTPS upstreams are checked against. Source: management API reference, 16."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from gatewright.deployment.certificates import Certificates, InvalidCertificate
from gatewright.deployment.results import Conflict, NotFound
from gatewright.deployment.trust import system_bundle
from gatewright.management.artifact_collection import ADMINS, READERS
from gatewright.management.bodies import answer, failure, unavailable
from gatewright.management.matching import Operation
from gatewright.management.requests import BodyTooLarge, Call
from gatewright.model.gateway import UpstreamTls
from gatewright.store.certificates import CertificateRow
from gatewright.store.errors import StoreUnavailable

LARGEST_BODY_BYTES = 1024 * 1024


class UpstreamCertificates:
    """Endpoints of certificates. `upstream_tls` tells the system's bundle and those of the configured folder."""

    def __init__(self, certificates: Certificates, upstream_tls: UpstreamTls) -> None:
        self._certificates = certificates
        self._upstream_tls = upstream_tls

    def operations(self) -> Sequence[Operation]:
        """The table of this resource."""
        return (
            Operation("GET", "/certificates", self.list, READERS),
            Operation("POST", "/certificates", self.upload, ADMINS),
            Operation("POST", "/certificates/reload", self.reload, ADMINS),
            Operation("DELETE", "/certificates/{id}", self.delete, ADMINS),
        )

    async def list(self, call: Call) -> Response:
        """GET: newest first; `certificates` is null when there is none, as in the original."""
        del call
        try:
            rows = await self._certificates.list()
        except StoreUnavailable as error:
            return unavailable(error, "Failed to list certificates")
        return answer(
            {
                "certificates": [_resource(row) for row in rows] or None,
                "totalCount": len(rows),
                "totalBytes": sum(len(row.certificate) for row in rows),
                "status": "success",
            }
        )

    async def upload(self, call: Call) -> Response:
        """POST: 201 when the routers trust it too."""
        try:
            name, pem = _given(await call.body(LARGEST_BODY_BYTES))
            row = await self._certificates.add(name, pem, call.correlation_id)
        except (BodyTooLarge, _BadBody) as error:
            return failure(400, str(error))
        except InvalidCertificate as error:
            return failure(400, f"Invalid certificate: {error}")
        except Conflict as error:
            return failure(409, f"Failed to save certificate: {error.message}")
        except StoreUnavailable as error:
            return unavailable(error, "Failed to save certificate")
        return answer(_resource(row) | {"message": "Certificate uploaded and SDS updated successfully"}, 201)

    async def delete(self, call: Call) -> Response:
        """DELETE: connections made from now on do not trust it."""
        uuid = call.path["id"]
        try:
            await self._certificates.remove(uuid, call.correlation_id)
        except NotFound as error:
            return failure(404, f"Certificate not found or failed to delete: {error.message}")
        except StoreUnavailable as error:
            return unavailable(error, "Certificate not found or failed to delete")
        message = "Certificate deleted and SDS updated successfully"
        return answer({"id": uuid, "message": message, "status": "success"})

    async def reload(self, call: Call) -> Response:
        """POST /reload: `totalBytes` is the size of all that is trusted, the system's authorities among it."""
        try:
            await self._certificates.reload(call.correlation_id)
            rows = await self._certificates.list()
        except StoreUnavailable as error:
            return unavailable(error, "Failed to reload certificates")
        system = await asyncio.to_thread(system_bundle, self._upstream_tls)
        total = sum(len(row.certificate) for row in rows) + len(self._upstream_tls.custom_ca) + len(system)
        message = "Certificates reloaded and SDS updated successfully"
        return answer({"message": message, "status": "success", "totalBytes": total})


class _BadBody(Exception):
    """The body is not what this endpoint takes; the text is the answer."""


def _given(body: bytes) -> tuple[str, str]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise _BadBody(f"Invalid request body: {problem}") from None
    if not isinstance(given, dict):
        raise _BadBody("Invalid request body: expected an object with name and certificate")
    name, pem = given.get("name") or "", given.get("certificate") or ""
    if not isinstance(name, str) or not isinstance(pem, str):
        raise _BadBody("Invalid request body: name and certificate are texts")
    if not name or not pem:
        raise _BadBody("name and certificate are required fields")
    return name, pem


def _resource(row: CertificateRow) -> dict[str, Any]:
    return {
        "id": row.uuid,
        "name": row.name,
        "subject": row.subject,
        "issuer": row.issuer,
        "notAfter": row.not_after.strftime("%Y-%m-%d %H:%M:%S"),
        "count": row.cert_count,
        "status": "success",
    }
