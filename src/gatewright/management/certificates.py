"""`/certificates`: authorities that HTTPS upstreams are checked against. Source: management API reference, 16."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from gatewright.deployment.certificates import Certificates, InvalidCertificate
from gatewright.deployment.results import Conflict, NotFound, Serving
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
                "certificates": [certificate(row) for row in rows] or None,
                "totalCount": len(rows),
                "totalBytes": sum(len(row.certificate) for row in rows),
                "status": "success",
            }
        )

    async def upload(self, call: Call) -> Response:
        """POST: 201 when the routers trust it too."""
        try:
            name, pem = _given(await call.body(LARGEST_BODY_BYTES))
            row, serving = await self._certificates.add(name, pem, call.correlation_id)
        except (BodyTooLarge, _BadBody) as error:
            return failure(400, str(error))
        except InvalidCertificate as error:
            return failure(400, f"Invalid certificate: {error}")
        except Conflict as error:
            return failure(409, f"Failed to save certificate: {error.message}")
        except StoreUnavailable as error:
            return unavailable(error, "Failed to save certificate")
        return answer(certificate(row) | {"message": _told("Certificate uploaded", serving)}, 201)

    async def delete(self, call: Call) -> Response:
        """DELETE: connections made from now on do not trust it."""
        uuid = call.path["id"]
        try:
            serving = await self._certificates.remove(uuid, call.correlation_id)
        except NotFound as error:
            return failure(404, f"Certificate not found or failed to delete: {error.message}")
        except StoreUnavailable as error:
            return unavailable(error, "Certificate not found or failed to delete")
        return answer({"id": uuid, "message": _told("Certificate deleted", serving), "status": "success"})

    async def reload(self, call: Call) -> Response:
        """POST /reload: `totalBytes` is the size of all that is trusted, the system's authorities among it."""
        try:
            serving = await self._certificates.reload(call.correlation_id)
            rows = await self._certificates.list()
        except StoreUnavailable as error:
            return unavailable(error, "Failed to reload certificates")
        system = await asyncio.to_thread(system_bundle, self._upstream_tls)
        total = sum(len(row.certificate) for row in rows) + len(self._upstream_tls.custom_ca) + len(system)
        return answer({"message": _told("Certificates reloaded", serving), "status": "success", "totalBytes": total})


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


def _told(done: str, serving: Serving) -> str:
    """The original's words where they are true."""
    if serving.state in {"served", "stored"}:
        return f"{done} and SDS updated successfully"
    return f"{done}, but not every router has confirmed it yet"


def certificate(row: CertificateRow) -> dict[str, Any]:
    """One certificate, as lists show it."""
    return {
        "id": row.uuid,
        "name": row.name,
        "subject": row.subject,
        "issuer": row.issuer,
        "notAfter": row.not_after.strftime("%Y-%m-%d %H:%M:%S"),
        "count": row.cert_count,
        "status": "success",
    }
