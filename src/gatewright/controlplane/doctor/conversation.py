"""Probes above TLS: clock, well-known document, upgrade with the token, acknowledgement, a REST call with the token.

The second WebSocket is closed as soon as it is acknowledged. Touches the network.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gatewright.controlplane import problems
from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.discovery import discover
from gatewright.controlplane.doctor.findings import Finding, doubtful, failed, good, skipped
from gatewright.controlplane.network import network_problem
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.rest import USER_AGENT, CallFailed, Rest
from gatewright.controlplane.websocket import OPEN_ERRORS, open_failure, open_socket
from gatewright.wire import deployments as lists
from gatewright.wire.acks import ConnectionAck, decode_connection_ack
from gatewright.wire.failures import Undecodable
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.paths import (
    ACK_TIMEOUT,
    CLOSE_NORMAL,
    CLOSE_UNAUTHENTICATED,
    PERMANENT_STATUSES,
    REASON_CLOSED,
    websocket_url,
    well_known_url,
)

HEAD_TIMEOUT: Final = 5.0
TOLERATED: Final = timedelta(seconds=10)
"""How far two clocks may be apart without a word. The header has no more than seconds."""


async def clock_probe(host: str, context: ssl.SSLContext, clock: Callable[[], datetime]) -> Finding:
    """Compare the `Date` of an answer with this machine's clock."""
    try:
        async with (
            asyncio.timeout(HEAD_TIMEOUT),
            httpx2.AsyncClient(verify=context, timeout=HEAD_TIMEOUT, headers={"user-agent": USER_AGENT}) as client,
        ):
            before = clock()
            answer = await client.head(well_known_url(host))
            here = before + (clock() - before) / 2
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return failed("clock", "no answer to a first HTTP request", network_problem(error, host))
    there = _date(answer.headers.get("date", ""))
    if there is None:
        return skipped("clock", "the control plane does not say what time it has")
    return clock_finding(here, there)


def clock_finding(here: datetime, there: datetime) -> Finding:
    """`there` is cut to whole seconds."""
    # The middle of the second that the header stands for.
    difference = here - (there + timedelta(seconds=0.5))
    seconds = round(difference.total_seconds(), 1)
    if abs(difference) <= TOLERATED:
        return good("clock", "both clocks agree within seconds", secondsAhead=seconds)
    word = "ahead of" if seconds > 0 else "behind"
    return doubtful(
        "clock",
        f"this machine is {abs(seconds):g} s {word} the control plane",
        "keys and certificates begin and end by this clock, and changes are ordered by both",
        "Set both clocks by NTP.",
        secondsAhead=seconds,
    )


async def well_known_probe(rest: Rest) -> tuple[Finding, str | None]:
    """What kind of control plane it is: the path of its gateway API (empty: cloud), None when nobody answers."""
    found = await discover(rest, 0)
    if found.kind == "found":
        seen = f"an API Manager; its gateway API is below {found.path}"
        return good("well-known", seen, mode="on_prem", path=found.path), found.path
    if found.kind == "absent":
        seen = "no well-known document: an API Platform control plane"
        return good("well-known", seen, mode="cloud", path=""), ""
    if found.kind == "unsure":
        return (
            doubtful(
                "well-known",
                "the control plane cannot say just now what it is (busy, or an error of its own)",
                "an API Manager would be taken for an API Platform until it answers",
                "See the log of the control plane or of the proxy before it, then try again.",
            ),
            "",
        )
    problem = found.problem or Problem("LINK_UNREACHABLE", "nobody answers")
    return failed("well-known", "no answer", problem), None


async def upgrade_probe(
    host: str, path: str, credentials: Credentials, context: ssl.SSLContext
) -> tuple[Finding, ClientConnection | None]:
    """Open the WebSocket with the token."""
    try:
        opened = await open_socket(websocket_url(host, path), credentials.token, context, _unheard)
    except OPEN_ERRORS as error:
        failure = open_failure(0, error, host)
        status = failure.status
        seen = f"HTTP {status} instead of a WebSocket" if status is not None else "no WebSocket"
        return failed("upgrade", seen, failure.problem, **({"status": status} if status is not None else {})), None
    return good("upgrade", "the WebSocket opens with this token"), opened


async def ack_probe(connection: ClientConnection) -> tuple[Finding, ConnectionAck | None]:
    """Wait for the acknowledgement, then close normally."""
    try:
        async with asyncio.timeout(ACK_TIMEOUT):
            message = await connection.recv()
    except TimeoutError:
        return failed("ack", "silence after the upgrade", problems.no_ack(ACK_TIMEOUT)), None
    except ConnectionClosed:
        code, reason = connection.close_code, connection.close_reason or ""
        if code == CLOSE_UNAUTHENTICATED:
            return failed("ack", "closed at once (4401)", problems.token_refused(reason)), None
        shown = None if code in {1005, 1006} else code
        return failed("ack", "closed at once", problems.closed_early(shown, reason)), None
    finally:
        with suppress(ConnectionClosed, OSError, TimeoutError):
            await connection.close(CLOSE_NORMAL, REASON_CLOSED)
    ack = decode_connection_ack(message)
    if isinstance(ack, Undecodable):
        words = message if isinstance(message, str) else ack.reason
        return failed("ack", "another message than the acknowledgement", problems.wrong_ack(words)), None
    seen = f"acknowledged; the control plane calls this gateway {ack.gateway_id or '(nothing)'}"
    return good("ack", seen, gatewayId=ack.gateway_id, connectionId=ack.connection_id), ack


async def rest_probe(rest: Rest, *, on_prem: bool) -> Finding:
    """The list that the link asks for at every connect: deployments, or of an API Manager the keys of its APIs."""
    if on_prem:
        keys = await rest.api_keys(ArtifactKind.REST_API, "")
        return _refused(keys) if isinstance(keys, CallFailed) else good("rest", f"it lists {len(keys)} API keys")
    listed = await rest.deployments()
    if isinstance(listed, CallFailed):
        return _refused(listed)
    deployed = sum(lists.desired_state(row) is True for row in listed.deployments)
    seen = f"it lists {len(listed.deployments)} deployments, {deployed} of them to be served"
    return good("rest", seen, deployments=len(listed.deployments), deployed=deployed)


def _refused(call: CallFailed) -> Finding:
    if call.problem is not None:
        return failed("rest", call.what, call.problem)
    advice = (
        problems.upgrade_refused(call.status).advice
        if call.status in PERMANENT_STATUSES
        else "See the log of the control plane or of the proxy before it."
    )
    return failed("rest", f"the {call.what} was not given", Problem(call.code, str(call), advice))


def _date(header: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(header)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


def _unheard() -> None:
    """Pings are answered by the library."""
