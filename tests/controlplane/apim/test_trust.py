"""Discovery, connection, token and import trust the same certificates, and speak no TLS before 1.2."""

import asyncio
import ssl
import time
import warnings
from contextlib import asynccontextmanager

import pytest
from apim_lab import until

from gatewright.controlplane.apim.config import apim_config
from gatewright.controlplane.apim.oauth import TokenFailed, Tokens
from gatewright.controlplane.apim.publisher import CallFailed, Imported, Publisher
from gatewright.controlplane.apim.transport import NoAnswer, Transport
from gatewright.controlplane.config import link_config
from gatewright.controlplane.trust import Trust
from support.projects import project


@asynccontextmanager
async def calling(settings, *, host=None):
    """Token endpoint and Publisher as the gateway calls them with these settings."""
    transport = Transport(host or settings.controller.controlplane.host, Trust(link_config(settings)), connections=1)
    try:
        yield transport, Tokens(apim_config(settings), transport, now=time.monotonic)
    finally:
        await transport.close()


def old_fashioned(context: ssl.SSLContext) -> ssl.SSLContext:
    """Speaks TLS 1.1 and nothing later."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.conforms("AP-086")
async def test_an_untrusted_certificate_is_refused_everywhere_and_nothing_is_sent(site, apim, settings_of):
    trusting, careful = settings_of(), settings_of(own={"ca_file": ""}, insecure_skip_verify=False)
    async with site.linked(careful, environment={}) as plane:
        await until(lambda: plane.status().attempts > 2)
        assert plane.status().last_error.code == "LINK_UNTRUSTED"
        async with calling(careful) as (transport, tokens):
            refused = await tokens.get()
            assert isinstance(refused, TokenFailed)
            assert "certificate" in refused.message
            assert apim.requests() == []
            async with calling(trusting) as (_trusted, good_tokens):
                assert isinstance(await good_tokens.get(), str)
                imported = await Publisher(transport, good_tokens).import_archive("id", project("prod-gateway"))
            assert isinstance(imported, CallFailed)
            assert "certificate" in imported.message
    assert [request.path for request in apim.requests()] == ["/oauth2/token"]
    assert await apim.client.apis() == []


@pytest.mark.conforms("AP-087")
async def test_without_verification_everything_succeeds_with_a_warning(opened, apim, settings_of, capsys, caplog):
    settings = settings_of(own={"ca_file": ""}, insecure_skip_verify=True)
    async with opened(settings=settings) as shop:
        await shop.synced()
        assert len(shop.imports()) == 1
    assert [request.path for request in apim.requests("well-known")] == ["/internal/gateway/.well-known"]
    # Where a line of the log goes depends on what was configured before in this process.
    told = "".join(capsys.readouterr()) + caplog.text
    warned = [line for line in told.splitlines() if "insecure_skip_verify" in line]
    assert any("warn" in line.lower() for line in warned)


@pytest.mark.conforms("AP-088")
async def test_a_server_of_tls_1_1_is_refused_by_token_and_publisher_calls(apim, settings_of):
    greeted: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted.append(await reader.read(1))
        writer.close()

    context = old_fashioned(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(apim.manager.config.data_dir / "server.pem", apim.manager.config.data_dir / "server.key")
    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=context)
    async with server:
        host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for verified in (True, False):
            settings = settings_of(insecure_skip_verify=not verified)
            async with calling(settings, host=host) as (transport, tokens), calling(settings) as (_, good_tokens):
                assert isinstance(await tokens.get(), TokenFailed)
                assert isinstance(await good_tokens.get(), str)
                imported = await Publisher(transport, good_tokens).import_archive("id", project("prod-gateway"))
                assert isinstance(imported, CallFailed)
                assert isinstance(await transport.send("GET", "/", headers={}), NoAnswer)
        assert greeted == []
        # The server is there for whoever speaks its TLS.
        indulgent = old_fashioned(ssl.create_default_context(cafile=str(apim.ca_file)))
        reader, writer = await asyncio.open_connection(*host.split(":"), ssl=indulgent)
        writer.write(b"x")
        assert await reader.read() == b""
        writer.close()
        assert greeted == [b"x"]
    async with calling(settings_of()) as (transport, tokens):
        assert isinstance(await Publisher(transport, tokens).import_archive("id", project("prod-gateway")), Imported)
