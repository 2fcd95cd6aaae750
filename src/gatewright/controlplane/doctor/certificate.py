"""The TLS step: a handshake as the link makes it, and what the certificate of the other side says. Touches sockets."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from gatewright.controlplane.doctor.findings import Finding, doubtful, failed, good
from gatewright.controlplane.doctor.reaching import ProxyRefused, Stream, opened
from gatewright.controlplane.doctor.route import Address, Proxy
from gatewright.controlplane.network import network_problem
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.words import quoted

TLS_TIMEOUT: Final = 10.0
SOON: Final = 30
"""Days before the end from which on it is worth a warning."""

_MOST_NAMES: Final = 8
_EXPIRED, _EARLY = 10, 9
_WRONG_NAME: Final = frozenset({62, 64})
_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21})


class Certificate(msgspec.Struct, frozen=True, rename="camel"):
    """What people want to know of one certificate."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: datetime
    ends: datetime


class Way(msgspec.Struct, frozen=True):
    """How to get there: the reached address and port, the target's own name, the HTTP proxy between."""

    address: str
    port: int
    target: Address
    proxy: Proxy | None = None


class Handshake(msgspec.Struct, frozen=True):
    """A handshake that succeeded. `chain` begins with the control plane's own certificate."""

    version: str
    chain: tuple[Certificate, ...]


async def tls_probe(
    way: Way, context: ssl.SSLContext, checking: ssl.SSLContext, now: datetime, *, verified: bool
) -> Finding:
    """`context` is the link's own; `checking` the same with verification, to tell what it would say."""
    try:
        handshake = await _handshake(way, context)
    except ProxyRefused as refused:
        return failed("tls", "no tunnel through the proxy", refused.problem)
    except ssl.SSLCertVerificationError as error:
        return await _untrusted(way, error, now)
    except (OSError, EOFError) as error:
        return failed("tls", "no TLS connection", network_problem(error, str(way.target)))
    if not verified:
        return await _unverified(way, handshake, checking, now)
    return _trusted(handshake, now)


def read_certificate(der: bytes) -> Certificate | None:
    """The facts of a certificate; None when it cannot be read."""
    try:
        parsed = x509.load_der_x509_certificate(der)
        return Certificate(
            _name(parsed.subject),
            _name(parsed.issuer),
            _names(parsed),
            parsed.not_valid_before_utc,
            parsed.not_valid_after_utc,
        )
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension):
        return None


async def _handshake(way: Way, context: ssl.SSLContext) -> Handshake:
    async with asyncio.timeout(TLS_TIMEOUT):
        stream = await opened(way.address, way.port, way.target, way.proxy)
        try:
            return await _greeted(stream, context, way.target.host)
        finally:
            # `wait_closed` would wait for ever after a handshake that was given up.
            stream[1].transport.abort()
            await asyncio.sleep(0)


async def _greeted(stream: Stream, context: ssl.SSLContext, name: str) -> Handshake:
    writer = stream[1]
    await writer.start_tls(context, server_hostname=name)
    connection = writer.get_extra_info("ssl_object")
    found = [read_certificate(der) for der in _chain(connection)]
    return Handshake(str(connection.version()), tuple(each for each in found if each is not None))


def _chain(connection: Any) -> list[bytes]:  # noqa: ANN401 - ssl.SSLObject, whose chain is not public before 3.13
    """The verified chain where Python gives it, else what the other side sent, else its own certificate alone."""
    inner = getattr(connection, "_sslobj", None)
    for name in ("get_verified_chain", "get_unverified_chain"):
        give = getattr(connection, name, None) or getattr(inner, name, None)
        try:
            chain = list(give() or ()) if give is not None else []
        except (ssl.SSLError, ValueError):
            chain = []
        if chain:
            return [
                each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in chain
            ]
    own = connection.getpeercert(binary_form=True)
    return [own] if own else []


def _der(certificate: Any) -> bytes:  # noqa: ANN401 - bytes, before 3.13 an object without a public type
    return certificate if isinstance(certificate, bytes) else ssl.PEM_cert_to_DER_cert(certificate.public_bytes())


# -- words -------------------------------------------------------------------------------------------------------------


def _trusted(handshake: Handshake, now: datetime) -> Finding:
    facts = _facts(handshake, now)
    if not handshake.chain:
        return good("tls", f"{handshake.version}, the certificate is verified", **facts)
    own, first = handshake.chain[0], min(handshake.chain, key=lambda each: each.ends)
    days = _days(first.ends, now)
    seen = f"{handshake.version}, {own.subject} by {own.issuer}, verified; {_until(own.ends, now)}"
    if days <= SOON:
        whose = "the certificate" if first is own else f"the certificate of {first.subject} above it"
        wrong = f"{whose} ends in {days} days; from then on the gateway does not connect"
        return doubtful("tls", seen, wrong, "Renew it at the control plane.", **facts)
    return good("tls", seen, **facts)


async def _unverified(way: Way, handshake: Handshake, checking: ssl.SSLContext, now: datetime) -> Finding:
    own = handshake.chain[0] if handshake.chain else None
    seen = f"{handshake.version}, {own.subject if own else 'a certificate'}, NOT verified"
    seen += f"; {_until(own.ends, now)}" if own else ""
    off = "verification is off: anybody on the way can read the token"
    key = "controller.controlplane.insecure_skip_verify"
    try:
        await _handshake(way, checking)
    except ssl.SSLCertVerificationError as error:
        problem = _verification_problem(error, way.target, own, now)
        wrong, change = (
            f"{off}; with it on, this would be said: {problem.message}",
            f"{problem.advice} Then remove {key}.",
        )
    except (OSError, EOFError, ProxyRefused):
        wrong, change = off, f"Remove {key}."
    else:
        wrong, change = f"{off}; the certificate would pass", f"Remove {key}: it is not needed."
    return doubtful("tls", seen, wrong, change, **_facts(handshake, now))


async def _untrusted(way: Way, error: ssl.SSLCertVerificationError, now: datetime) -> Finding:
    """Look once more without verification, only to be able to say what is there. No token is sent."""
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        handshake = await _handshake(way, blind)
    except (OSError, EOFError, ProxyRefused):
        handshake = Handshake("", ())
    own = handshake.chain[0] if handshake.chain else None
    seen = f"a certificate of {own.subject} by {own.issuer}; {_until(own.ends, now)}" if own else "a certificate"
    return failed("tls", seen, _verification_problem(error, way.target, own, now), **_facts(handshake, now))


def _verification_problem(
    error: ssl.SSLCertVerificationError, target: Address, own: Certificate | None, now: datetime
) -> Problem:
    code = error.verify_code
    if code in _WRONG_NAME and own is not None:
        names = _listed(own.names) or "no name at all"
        return Problem(
            "LINK_UNTRUSTED",
            f"the certificate is not for {target.host}, but for {names}",
            "Set controller.controlplane.host to a name of the certificate, or give the control plane a certificate "
            f"for {target.host}.",
        )
    if code == _EXPIRED:
        over = f" {_days(now, own.ends)} days ago" if own is not None and own.ends < now else ""
        what = "the certificate has ended" if over else "a certificate above the control plane's own has ended"
        return Problem(
            "LINK_UNTRUSTED", f"{what}{over}", "Renew it at the control plane; check the clock of this machine too."
        )
    if code == _EARLY:
        begins = f": it begins on {own.begins:%Y-%m-%d %H:%M} UTC" if own is not None else ""
        return Problem(
            "LINK_UNTRUSTED", f"the certificate is not valid yet{begins}", "Set the clock of this machine right."
        )
    if code in _UNKNOWN_ISSUER:
        issuer = f"by {own.issuer}" if own is not None else "by an authority"
        itself = own is not None and own.issuer == own.subject
        return Problem(
            "LINK_UNTRUSTED",
            "the certificate is signed by itself, and the gateway does not know it"
            if itself
            else f"the certificate is signed {issuer}, which the gateway does not trust",
            "Set gatewright.controlplane.ca_file to the certificate (PEM) of the authority that signed it; when that "
            "is set already, it is another authority's, or the control plane does not send its intermediate ones.",
        )
    return network_problem(error, str(target))


def _facts(handshake: Handshake, now: datetime) -> dict[str, Any]:
    chain = [msgspec.to_builtins(each) for each in handshake.chain]
    facts: dict[str, Any] = {"version": handshake.version, "chain": chain}
    if handshake.chain:
        facts["daysLeft"] = _days(min(each.ends for each in handshake.chain), now)
    return facts


def _until(ends: datetime, now: datetime) -> str:
    days = _days(ends, now)
    return f"valid until {ends:%Y-%m-%d} ({days} days)" if ends >= now else f"ended on {ends:%Y-%m-%d}"


def _days(later: datetime, earlier: datetime) -> int:
    return (later - earlier).days


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return quoted(str(common[0].value) if common else name.rfc4514_string()) or "an unnamed subject"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(quoted(str(each.value)) for each in names if isinstance(each, x509.DNSName | x509.IPAddress))[:100]
