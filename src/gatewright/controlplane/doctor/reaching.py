"""Probes below TLS: the name, the TCP connection, the tunnel through a proxy. Touches DNS and sockets."""

import asyncio
import base64
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final
from urllib.parse import unquote

from gatewright.controlplane.doctor.findings import Finding, doubtful, failed, good
from gatewright.controlplane.doctor.route import Address, Proxy
from gatewright.controlplane.network import network_problem
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.words import quoted

NAME_TIMEOUT: Final = 5.0
TCP_TIMEOUT: Final = 5.0
MOST_ADDRESSES: Final = 4
"""Addresses that are tried; further ones are only counted."""

_HEAD: Final = 16_384
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ProxyRefused(Exception):
    """The proxy does not open the tunnel. `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


async def name_probe(target: Address, timeout: float = NAME_TIMEOUT) -> tuple[Finding, list[str]]:  # noqa: ASYNC109
    """The addresses behind a name."""
    try:
        async with asyncio.timeout(timeout):
            addresses = await _resolved(target)
    except TimeoutError:
        advice = "Check the DNS servers of this machine (/etc/resolv.conf)."
        message = f"no DNS server said within {timeout:g} s what {target.host} is"
        return failed("name", "no answer", Problem("LINK_NAME_UNKNOWN", message, advice)), []
    except (OSError, UnicodeError) as error:
        return failed("name", "no address", _name_problem(error, target)), []
    seen = f"{target.host} is {', '.join(addresses[:MOST_ADDRESSES])}"
    return good("name", seen, addresses=addresses[:16]), addresses


async def tcp_probe(target: Address, addresses: list[str]) -> tuple[Finding, str]:
    """A TCP connection to each address; the first that answers is the one to go on with."""
    tried = addresses[:MOST_ADDRESSES]
    outcomes = await asyncio.gather(*(_connects(address, target.port) for address in tried))
    reached = [address for address, error in zip(tried, outcomes, strict=True) if error is None]
    silent = {address: error for address, error in zip(tried, outcomes, strict=True) if error is not None}
    if not reached:
        problem = network_problem(next(iter(silent.values())), str(target))
        return failed("tcp", f"no connection to port {target.port} of {', '.join(tried)}", problem), ""
    seen = f"port {target.port} of {', '.join(reached)} is open"
    if silent:
        wrong = f"no connection to {', '.join(silent)}: every attempt that begins there is slow or fails"
        change = "Take these addresses out of the DNS, or repair the network to them (often IPv6)."
        return doubtful("tcp", seen, wrong, change, reached=reached, unreached=list(silent)), reached[0]
    return good("tcp", seen, reached=reached), reached[0]


async def opened(address: str, port: int, target: Address, proxy: Proxy | None) -> Stream:
    """A connection that ends at `target`, through an HTTP proxy if there is one. Raises OSError, ProxyRefused."""
    reader, writer = await asyncio.open_connection(address, port, limit=_HEAD)
    if proxy is not None:
        try:
            await _tunnel(reader, writer, target, proxy)
        except BaseException:
            writer.transport.abort()
            raise
    return reader, writer


async def _connects(address: str, port: int) -> BaseException | None:
    try:
        async with asyncio.timeout(TCP_TIMEOUT):
            _, writer = await asyncio.open_connection(address, port)
    except OSError as error:  # a timeout is one
        return error
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return None


async def _resolved(target: Address) -> list[str]:
    """In a thread that nobody waits for at the end: a resolver cannot be interrupted."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def look() -> None:
        try:
            rows = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            _tell(loop, partial(_settle, answer, error))
            return
        _tell(loop, partial(_settle, answer, list(dict.fromkeys(str(row[4][0]) for row in rows))))

    threading.Thread(target=look, name="doctor-dns", daemon=True).start()
    return await answer


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(what)


def _settle(answer: "asyncio.Future[list[str]]", outcome: list[str] | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)


def _name_problem(error: Exception, target: Address) -> Problem:
    if isinstance(error, UnicodeError):
        advice = "Check controller.controlplane.host: it needs a host name or an address."
        return Problem("LINK_NAME_UNKNOWN", f"{target.host} is no host name", advice)
    return network_problem(error, target.host)


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Address, proxy: Proxy) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorized:
        pair = base64.b64encode(f"{unquote(proxy.user)}:{unquote(proxy.password)}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {pair}")
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ProxyRefused(_proxy_problem(proxy, "it answers no HTTP")) from error
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    if " 200" not in status[:13]:
        raise ProxyRefused(_proxy_problem(proxy, status))


def _proxy_problem(proxy: Proxy, words: str) -> Problem:
    advice = (
        "Put its user and password into the proxy's URL in the environment."
        if " 407" in words
        else "Check the proxy's URL in the environment and its rules, or add the control plane's host to NO_PROXY."
    )
    return Problem("LINK_PROXY_REFUSED", f"the proxy {proxy} does not let the gateway through: {quoted(words)}", advice)
