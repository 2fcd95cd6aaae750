"""Authorities that HTTPS upstreams are checked against, as people upload them: checked, stored, carried to the routers.

Source: management API reference, section 16; data-plane reference, section 9.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import InvalidVersion
from sqlalchemy import Connection

from gatewright.deployment.ids import Clock, utc_now
from gatewright.deployment.results import Change, Conflict, NotFound, Serving
from gatewright.deployment.serving import ServingBoard
from gatewright.observability.logging import get_logger
from gatewright.store import Store, certificates, changes
from gatewright.store.certificates import CertificateRow
from gatewright.store.rows import CERTIFICATE, Action

LONGEST_NAME: Final = 255
MOST_CERTIFICATES: Final = 500
LARGEST_TOTAL_BYTES: Final = 4 * 1024 * 1024
_VERDICT_S = 5.0
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_log = get_logger(__name__)


class InvalidCertificate(Exception):
    """What was uploaded cannot be trusted; the text says why."""


class Certificates:
    """One per controller. Methods may raise StoreUnavailable; then nothing was written."""

    def __init__(self, store: Store, board: ServingBoard, *, clock: Clock = utc_now) -> None:
        self._store = store
        self._gateway_id = store.gateway_id
        self._board = board
        self._clock = clock

    async def list(self) -> list[CertificateRow]:
        """All, newest first."""
        return await self._store.read(lambda connection: certificates.everything(connection, self._gateway_id))

    async def add(self, name: str, pem: str, correlation_id: str) -> tuple[CertificateRow, Serving]:
        """Trust the certificates of a PEM text; returns what the routers made of them, within 5 s.

        Raises InvalidCertificate (also when a router refuses them: then they are removed again), Conflict.
        """
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InvalidCertificate(f"a name has up to {LONGEST_NAME} printable characters")
        row = _row(name, pem, self._clock())
        change = await self._store.write(lambda connection: self._add(connection, row, correlation_id))
        serving = await self._board.served(change, _VERDICT_S)
        if serving.state == "refused":
            await self._remove(row.uuid, correlation_id)
            raise InvalidCertificate(f"invalid certificate: refused by the router: {serving.reason}")
        _log.info("certificate stored", name=name, count=row.cert_count, subject=row.subject)
        return row, serving

    async def remove(self, uuid: str, correlation_id: str) -> Serving:
        """Trust it no more; returns what the routers made of that, within 5 s. Raises NotFound."""
        change = await self._remove(uuid, correlation_id)
        _log.info("certificate deleted", id=uuid)
        return await self._board.served(change, _VERDICT_S)

    async def reload(self, correlation_id: str) -> Serving:
        """Send everything that is stored to the routers again; returns what they made of it, within 5 s."""
        change = await self._store.write(
            lambda connection: self._record(connection, "reload", "UPDATE", correlation_id)
        )
        return await self._board.served(change, _VERDICT_S)

    async def _remove(self, uuid: str, correlation_id: str) -> Change:
        def removal(connection: Connection) -> Change | None:
            if not certificates.remove(connection, self._gateway_id, uuid):
                return None
            return self._record(connection, uuid, "DELETE", correlation_id)

        change = await self._store.write(removal)
        if change is None:
            raise NotFound("configuration not found")
        return change

    def _add(self, connection: Connection, row: CertificateRow, correlation_id: str) -> Change:
        if certificates.is_taken(connection, self._gateway_id, row.name):
            raise Conflict(f"a certificate named '{row.name}' is stored already; delete it first, or choose a new name")
        stored = certificates.everything(connection, self._gateway_id)
        total = sum(len(other.certificate) for other in stored) + len(row.certificate)
        if len(stored) >= MOST_CERTIFICATES or total > LARGEST_TOTAL_BYTES:
            raise Conflict(
                f"at most {MOST_CERTIFICATES} entries and {LARGEST_TOTAL_BYTES} bytes are stored; delete some first"
            )
        certificates.add(connection, self._gateway_id, row)
        return self._record(connection, row.uuid, "CREATE", correlation_id)

    def _record(self, connection: Connection, uuid: str, action: Action, correlation_id: str) -> Change:
        return changes.append(
            connection,
            self._gateway_id,
            kind=CERTIFICATE,
            entity_id=uuid,
            artifact_id=uuid,
            action=action,
            correlation_id=correlation_id,
            at=self._clock(),
        )


def certificates_in(pem: str) -> str:
    """The certificates of a PEM text and nothing else of it. Raises InvalidCertificate."""
    return _pem(_parsed_all(pem))


def _row(name: str, pem: str, now: datetime) -> CertificateRow:
    """What is stored: a private key that was pasted along is not kept."""
    found = _parsed_all(pem)
    first = found[0]
    return CertificateRow(
        uuid=str(uuid4()),
        name=name,
        certificate=_pem(found),
        subject=first.subject.rfc4514_string(),
        issuer=first.issuer.rfc4514_string(),
        not_before=first.not_valid_before_utc,
        not_after=first.not_valid_after_utc,
        cert_count=len(found),
        created_at=now,
        updated_at=now,
    )


def _pem(found: Sequence[x509.Certificate]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in found)


def _parsed_all(pem: str) -> list[x509.Certificate]:
    found = [_parsed(block) for block in _BLOCK.findall(pem)]
    if not found:
        raise InvalidCertificate("no valid certificates found in PEM data")
    return found


def _parsed(block: str) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(block.encode())
        certificate.public_key()
        certificate.subject.rfc4514_string()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion) as problem:
        raise InvalidCertificate(f"invalid certificate: {problem}") from None
    return certificate
