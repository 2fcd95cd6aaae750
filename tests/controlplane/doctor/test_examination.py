"""The walk along the connection: against a real hub over TLS, and against everything that can stand in its way."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from controlplane_hostile import TEXT, honest
from controlplane_lab import make_settings, until

from gatewright.controlplane.doctor import certificate, conversation, diagnose, plain, reaching
from gatewright.controlplane.doctor.findings import STEPS
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub
from gatewright.hub.tls import ensure_certificates

TOKEN = "a-token-of-the-test"
PROXY_VARIABLES = ("https_proxy", "http_proxy", "all_proxy", "wss_proxy", "socks_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def states(diagnosis):
    return {finding.step: finding.state for finding in diagnosis.findings}


def assert_stopped_at(diagnosis, step):
    """Everything before is fine, everything after is skipped for the sake of it."""
    index = STEPS.index(step)
    found = [finding.state for finding in diagnosis.findings]
    assert found[index] == "failed"
    assert "failed" not in found[:index]
    assert set(found[index + 1 :]) <= {"skipped"}
    assert not diagnosis.ok


@asynccontextmanager
async def hub_with(tmp_path, *, names=("127.0.0.1", "localhost"), ago=timedelta()):
    """A hub whose certificate was made some time ago; gives its address and its authority."""
    (tmp_path / "tls").mkdir()
    made, key, authority = ensure_certificates(tmp_path / "tls", names, datetime.now(UTC) - ago)
    hub = Hub(HubConfig(data_dir=tmp_path / "other-hub", port=0, certificate_file=made, key_file=key))
    await hub.start()
    try:
        yield f"127.0.0.1:{hub.port}", authority
    finally:
        await hub.stop()


async def test_nothing_is_wrong_with_a_hub(hub, client, hub_settings):
    settings = await hub_settings()
    diagnosis = await diagnose(settings)
    assert diagnosis.ok
    assert [finding.step for finding in diagnosis.findings] == list(STEPS)
    assert {step for step, state in states(diagnosis).items() if state != "ok"} == {"oauth"}
    tls = diagnosis.of("tls").facts
    assert 390 < tls["daysLeft"] < 398
    assert [each["subject"] for each in tls["chain"]] == ["Gatewright hub", "Gatewright hub authority"]
    gateway = await client.gateway("edge")
    assert diagnosis.of("ack").facts["gatewayId"] == gateway.uuid
    token = settings.controller.controlplane.token.get_secret_value()
    assert token not in json.dumps(plain(diagnosis))
    assert token not in repr(diagnosis)


async def test_a_running_gateway_is_left_alone(site, hub_settings):
    settings = await hub_settings()
    async with site.linked(settings) as plane:
        await until(lambda: plane.status().last_reconcile is not None)
        before = plane.status()
        assert (await diagnose(settings)).ok
        after = plane.status()
        assert (after.state, after.connection_id, after.reconnects) == ("connected", before.connection_id, 0)


async def test_a_wrong_token_is_told_by_the_upgrade_and_by_the_rest_call(hub):
    diagnosis = await diagnose(make_settings(f"127.0.0.1:{hub.port}", TOKEN, ca_file=hub.ca_file))
    found = states(diagnosis)
    assert (found["upgrade"], found["ack"], found["rest"]) == ("failed", "skipped", "failed")
    assert diagnosis.of("upgrade").code == "LINK_REFUSED"
    assert "controller.controlplane.token" in diagnosis.of("upgrade").change
    assert "controller.controlplane.token" in diagnosis.of("rest").change
    assert TOKEN not in json.dumps(plain(diagnosis))


async def test_a_closed_port():
    async with _taken_port() as port:
        pass
    diagnosis = await diagnose(make_settings(f"127.0.0.1:{port}", TOKEN))
    assert_stopped_at(diagnosis, "tcp")
    assert diagnosis.of("tcp").code == "LINK_UNREACHABLE"
    assert "nothing listens" in diagnosis.of("tcp").wrong
    assert diagnosis.of("tls").seen == "because the step tcp failed"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b"])
async def test_an_unknown_name(host):
    diagnosis = await diagnose(make_settings(host, TOKEN))
    assert_stopped_at(diagnosis, "name")
    assert diagnosis.of("name").code == "LINK_NAME_UNKNOWN"


async def test_a_resolver_that_never_answers(monkeypatch):
    released = asyncio.Event()

    async def silent(_target):
        await released.wait()

    monkeypatch.setattr(reaching, "_resolved", silent)
    finding, addresses = await reaching.name_probe(reaching.Address("cp.example", 443), timeout=0.05)
    assert (finding.state, addresses) == ("failed", [])
    assert "resolv.conf" in finding.change


async def test_an_untrusted_authority(hub):
    diagnosis = await diagnose(make_settings(f"127.0.0.1:{hub.port}", TOKEN))
    assert_stopped_at(diagnosis, "tls")
    tls = diagnosis.of("tls")
    assert "signed by Gatewright hub authority, which the gateway does not trust" in tls.wrong
    assert "ca_file" in tls.change
    assert tls.facts["chain"][0]["names"][0] == "localhost"


async def test_an_expired_certificate(tmp_path):
    async with hub_with(tmp_path, ago=timedelta(days=500)) as (host, authority):
        diagnosis = await diagnose(make_settings(host, TOKEN, ca_file=authority))
    assert_stopped_at(diagnosis, "tls")
    tls = diagnosis.of("tls")
    assert "has ended 103 days ago" in tls.wrong
    assert "Renew" in tls.change
    assert tls.facts["daysLeft"] < 0


async def test_a_certificate_of_tomorrow(tmp_path):
    async with hub_with(tmp_path, ago=timedelta(days=-2)) as (host, authority):
        diagnosis = await diagnose(make_settings(host, TOKEN, ca_file=authority))
    assert_stopped_at(diagnosis, "tls")
    assert "not valid yet" in diagnosis.of("tls").wrong
    assert "clock" in diagnosis.of("tls").change


async def test_a_certificate_for_another_host(tmp_path):
    async with hub_with(tmp_path, names=("cp.example", "other.example")) as (host, authority):
        diagnosis = await diagnose(make_settings(host, TOKEN, ca_file=authority))
    assert_stopped_at(diagnosis, "tls")
    assert diagnosis.of("tls").wrong == "the certificate is not for 127.0.0.1, but for cp.example, other.example"


async def test_a_certificate_that_ends_soon(tmp_path):
    async with hub_with(tmp_path, ago=timedelta(days=380)) as (host, authority):
        diagnosis = await diagnose(make_settings(host, TOKEN, ca_file=authority))
    tls = diagnosis.of("tls")
    assert tls.state == "warning"
    assert "ends in 16 days" in tls.wrong
    assert states(diagnosis)["upgrade"] == "failed", "the walk goes on after a warning"


@pytest.mark.parametrize(("trusted", "words"), [(True, "would pass"), (False, "does not trust")])
async def test_verification_that_is_off(hub, trusted, words):
    ca_file = hub.ca_file if trusted else ""
    settings = make_settings(f"127.0.0.1:{hub.port}", TOKEN, ca_file=ca_file, insecure_skip_verify=True)
    tls = (await diagnose(settings)).of("tls")
    assert tls.state == "warning"
    assert "NOT verified" in tls.seen
    assert "anybody on the way can read the token" in tls.wrong
    assert words in tls.wrong
    assert "insecure_skip_verify" in tls.change


async def test_a_bundle_that_cannot_be_read(hub, tmp_path):
    diagnosis = await diagnose(make_settings(f"127.0.0.1:{hub.port}", TOKEN, ca_file=tmp_path / "missing.pem"))
    assert_stopped_at(diagnosis, "tls")
    assert diagnosis.of("tls").code == "LINK_TLS_FILES"


async def test_a_port_that_says_nothing(monkeypatch):
    monkeypatch.setattr(certificate, "TLS_TIMEOUT", 0.2)
    async with _taken_port() as port:
        diagnosis = await diagnose(make_settings(f"127.0.0.1:{port}", TOKEN))
    assert_stopped_at(diagnosis, "tls")
    assert diagnosis.of("tls").code == "LINK_TIMEOUT"


async def test_a_port_that_speaks_no_tls():
    async with _taken_port(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        diagnosis = await diagnose(make_settings(f"127.0.0.1:{port}", TOKEN))
    assert_stopped_at(diagnosis, "tls")
    assert "speaks TLS" in diagnosis.of("tls").change


async def test_tls_but_no_http(hostile, hostile_settings, monkeypatch):
    monkeypatch.setattr(conversation, "HEAD_TIMEOUT", 0.2)
    hostile.answers["HEAD", "/internal/gateway/.well-known"] = lambda _request: asyncio.Event().wait()
    diagnosis = await diagnose(hostile_settings())
    assert_stopped_at(diagnosis, "clock")


async def test_a_clock_that_is_wrong(hostile, hostile_settings):
    there = datetime.now(UTC) - timedelta(minutes=5)
    date = there.strftime("%a, %d %b %Y %H:%M:%S GMT")
    hostile.answers["HEAD", "/internal/gateway/.well-known"] = (404, b"", {"date": date})
    diagnosis = await diagnose(hostile_settings())
    clock = diagnosis.of("clock")
    assert clock.state == "warning"
    assert "ahead of the control plane" in clock.seen
    assert 295 < clock.facts["secondsAhead"] < 310
    assert diagnosis.ok


@pytest.mark.parametrize(
    ("message", "code"),
    [(None, "LINK_NO_ACK"), ('{"type":"error","message":"maximum connection limit reached"}', "LINK_WRONG_ACK")],
)
async def test_no_acknowledgement(hostile, hostile_settings, monkeypatch, message, code):
    monkeypatch.setattr(conversation, "ACK_TIMEOUT", 0.2)

    async def greet(peer):
        if message is not None:
            peer.frame(TEXT, message)

    hostile.on_peer = greet
    diagnosis = await diagnose(hostile_settings())
    assert (states(diagnosis)["upgrade"], states(diagnosis)["ack"]) == ("ok", "failed")
    assert diagnosis.of("ack").code == code
    assert states(diagnosis)["rest"] == "ok"


async def test_the_second_socket_is_closed_normally(hostile, hostile_settings):
    assert (await diagnose(hostile_settings())).ok
    peer = await hostile.peer()
    opcode, data = await peer.receive()
    assert (opcode, data[:2], data[2:]) == (0x8, b"\x03\xe8", b"Client closing connection")
    assert len(hostile.upgrades) == 1


async def test_an_api_manager_is_not_disturbed_unless_asked_for(hostile, hostile_settings):
    hostile.answers["GET", "/internal/gateway/.well-known"] = (200, {"gatewayPath": "internal/data/v1"})
    honest(hostile, "/internal/data/v1")
    settings = hostile_settings()
    diagnosis = await diagnose(settings)
    assert diagnosis.ok
    assert not hostile.upgrades
    assert diagnosis.of("well-known").facts["path"] == "/internal/data/v1"
    assert states(diagnosis)["upgrade"] == "skipped"
    assert states(diagnosis)["rest"] == "ok"
    assert states(diagnosis)["gateway-name"] == "warning"
    assert (await diagnose(settings, interrupt=True)).of("ack").state == "ok"
    assert hostile.upgrades[0].path.startswith("/internal/data/v1/")


async def test_4401_after_the_upgrade_is_about_the_token(hostile, hostile_settings):
    async def greet(peer):
        peer.close(4401, "Invalid or expired API key")

    hostile.on_peer = greet
    ack = (await diagnose(hostile_settings())).of("ack")
    assert ack.code == "LINK_REFUSED"
    assert "controller.controlplane.token" in ack.change


async def test_a_control_plane_that_cannot_say_what_it_is(hostile, hostile_settings):
    hostile.answers["GET", "/internal/gateway/.well-known"] = (503, b"")
    diagnosis = await diagnose(hostile_settings())
    assert states(diagnosis)["well-known"] == "warning"
    assert states(diagnosis)["ack"] == "ok"


async def test_a_rest_call_that_fails(hostile, hostile_settings):
    hostile.answers["GET", "/api/internal/v1/deployments"] = (500, b'{"description":"Failed to get deployments"}')
    rest = (await diagnose(hostile_settings())).of("rest")
    assert (rest.state, rest.code) == ("failed", "CALL_STATUS")
    assert "Failed to get deployments" in rest.wrong


@pytest.mark.parametrize(
    ("host", "token", "code"),
    [
        ("", TOKEN, "LINK_UNSET"),
        ("https://cp.example", TOKEN, "LINK_UNSET"),
        ("cp.example/path", TOKEN, "LINK_UNSET"),
        ("cp.example:99999", TOKEN, "LINK_UNSET"),
    ],
)
async def test_settings_that_lead_nowhere(host, token, code):
    diagnosis = await diagnose(make_settings(host, token))
    assert_stopped_at(diagnosis, "configuration")
    assert diagnosis.of("configuration").code == code


@pytest.mark.parametrize("token", ["", "two words of a token", "tökenwithumlaut"])
async def test_a_token_that_cannot_be_sent_does_not_keep_the_way_from_being_looked_at(hub, token):
    diagnosis = await diagnose(make_settings(f"127.0.0.1:{hub.port}", token, ca_file=hub.ca_file))
    found = states(diagnosis)
    assert found["configuration"] == "failed"
    assert {found[step] for step in ("proxy", "name", "tcp", "tls", "clock", "well-known")} == {"ok"}
    assert {found[step] for step in ("upgrade", "ack", "rest")} == {"skipped"}
    if token:
        assert token not in json.dumps(plain(diagnosis))


# -- proxies -----------------------------------------------------------------------------------------------------------


async def test_through_a_proxy_of_the_environment(hub, hub_settings, monkeypatch):
    settings = await hub_settings()
    async with _proxy() as (port, asked):
        monkeypatch.setenv("HTTPS_PROXY", f"http://someone:sesame-open@127.0.0.1:{port}")
        diagnosis = await diagnose(settings)
    assert diagnosis.ok
    assert diagnosis.of("proxy").seen == f"through http://127.0.0.1:{port}"
    assert "sesame" not in json.dumps(plain(diagnosis))
    assert {line for line, _ in asked} == {f"CONNECT 127.0.0.1:{hub.port} HTTP/1.1"}
    assert {header for _, header in asked} == {f"Basic {base64.b64encode(b'someone:sesame-open').decode()}"}


async def test_a_proxy_that_wants_a_password(hub, hub_settings, monkeypatch):
    settings = await hub_settings()
    async with _proxy(refuse=b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as (port, _):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        diagnosis = await diagnose(settings)
    assert_stopped_at(diagnosis, "tls")
    assert diagnosis.of("tls").code == "LINK_PROXY_REFUSED"
    assert "user and password" in diagnosis.of("tls").change


async def test_a_proxy_for_rest_calls_only_is_worth_a_warning(hub_settings, monkeypatch):
    settings = await hub_settings()
    async with _proxy() as (port, _):
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        diagnosis = await diagnose(settings)
    assert states(diagnosis)["proxy"] == "warning"
    assert "different ways" in diagnosis.of("proxy").wrong
    assert states(diagnosis)["rest"] == "ok"


@asynccontextmanager
async def _listening(serve):
    """A server on a free port; whoever is served when it ends is cut off."""
    tasks = set()

    async def one(reader, writer):
        try:
            # Whoever only looks whether somebody listens sends nothing.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()

    def accepted(reader, writer):
        # Noted before it runs: what is cancelled before its first step closes nothing.
        writers.append(writer)
        tasks.add(asyncio.ensure_future(one(reader, writer)))

    writers = []
    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _taken_port(answer=b""):
    """A port that accepts and says only this."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(answer)
        await (writer.drain() if answer else asyncio.Event().wait())
        writer.close()

    async with _listening(serve) as port:
        yield port


@asynccontextmanager
async def _proxy(refuse=b""):
    """An HTTP proxy for tunnels; gives its port and what it was asked for."""
    asked = []

    async def pipe(reader, writer):
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        asked.append((head[0], headers.get("proxy-authorization", "")))
        if refuse:
            writer.write(refuse)
            await writer.drain()
            return
        host, _, port = head[0].split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await asyncio.gather(pipe(reader, far_writer), pipe(far_reader, writer))
        finally:
            far_writer.transport.abort()
            with suppress(OSError):
                await far_writer.wait_closed()

    async with _listening(serve) as port:
        yield port, asked
