"""Attempts that end before the connection is made leave no socket behind."""

import asyncio
import gc
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from gatewright.controlplane import rest as calls
from gatewright.controlplane import websocket
from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.wire import paths


@pytest.fixture
def silent():
    """Takes TCP connections and never says a word, so that no TLS handshake comes to an end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(params=[0.2, 30.0], ids=["in-time", "cancelled"])
def patience(request, monkeypatch):
    """How long attempts may take: short, or so long that they have to be cancelled."""
    for name in ("DISCOVERY_TIMEOUT", "HANDSHAKE_TIMEOUT"):
        monkeypatch.setattr(paths, name, request.param)
    monkeypatch.setattr(websocket, "HANDSHAKE_TIMEOUT", request.param)
    monkeypatch.setattr(calls, "_GRACE", 0.0)
    return request.param


async def made(host: str, patience: float) -> Rest:
    credentials = Credentials(lambda: SecretStr("a-token-of-the-test"))
    await credentials.read()
    rest = Rest(host, credentials, timeout=patience)
    await rest.use_tls(ssl.create_default_context())
    return rest


async def ended(work) -> None:
    """Let it come to its own end, or cancel it in the middle."""
    task = asyncio.ensure_future(work)
    _, waiting = await asyncio.wait({task}, timeout=1.0)
    for each in waiting:
        each.cancel()
    with suppress(asyncio.CancelledError, TimeoutError):
        assert isinstance(await task, CallFailed)


def sockets() -> int:
    """Open sockets of this process."""
    found = 0
    for file in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += str(file.readlink()).startswith("socket:")
    return found


@pytest.mark.parametrize("what", ["discovery", "call", "upgrade"])
async def test_an_attempt_that_is_given_up_leaves_no_socket(silent, patience, what):
    gc.collect()
    rest = await made(silent, patience)
    gc.disable()  # so that it is not the collector that closes them
    try:
        before = sockets()
        match what:
            case "discovery":
                await ended(rest.well_known())
            case "call":
                await ended(rest.deployments())
            case "upgrade":
                context = ssl.create_default_context()
                await ended(websocket.open_socket(f"wss://{silent}/", "a-token-of-the-test", context, lambda: None))
        await rest.close()
        for _ in range(100):
            if sockets() == before:
                break
            await asyncio.sleep(0.01)
        assert sockets() == before
    finally:
        gc.enable()
