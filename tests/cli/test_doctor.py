"""`gatewright doctor`: what it shows and how it ends. The walk itself: tests/controlplane/doctor."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gatewright.hub.client import HubClient
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "WSS_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def configuration(folder: Path, host: str, token: str, ca_file: Path | None = None) -> str:
    path = folder / "gateway.toml"
    path.write_text(
        f'[controller.controlplane]\nhost = "{host}"\ntoken = "{token}"\n'
        f'[gatewright.controlplane]\nca_file = "{ca_file or ""}"\n'
    )
    return str(path)


async def test_a_connection_that_works_and_a_token_that_does_not(run: Any, tmp_path: Path) -> None:
    hub = Hub(HubConfig(data_dir=tmp_path / "hub", port=0))
    await hub.start()
    try:
        async with HubClient.from_data_dir(hub.config.data_dir, port=hub.port) as client:
            await client.register("edge")
            token = (await client.issue_token("edge")).token
        host = f"127.0.0.1:{hub.port}"
        good = configuration(tmp_path, host, token, hub.ca_file)
        ran = await asyncio.to_thread(run, "doctor", "--config", good)
        assert ran.code == 0, ran.err
        assert ran.out.endswith("\nnothing is wrong\n")
        shown = [line for line in ran.out.split("\n") if line.startswith((" ", "The way"))]
        assert len(shown) >= 12
        assert max(map(len, shown)) <= 80
        assert token not in ran.out

        wrong = configuration(tmp_path, host, "quite-another-token", hub.ca_file)
        ran = await asyncio.to_thread(run, "doctor", "--config", wrong, "-o", "json")
        assert ran.code == 1
        # The hub in this process may log before it.
        told = json.loads("{" + ("\n" + ran.out).rpartition("\n{\n")[2])
        assert told["ok"] is False
        failed = {each["step"]: each["code"] for each in told["findings"] if each["state"] == "failed"}
        assert failed == {"upgrade": "LINK_REFUSED", "rest": "CALL_STATUS"}
        assert "quite-another-token" not in ran.out + ran.err
    finally:
        await hub.stop()


def test_a_closed_port(run: Any, tmp_path: Path) -> None:
    ran = run("doctor", "--config", configuration(tmp_path, "127.0.0.1:1", "some-token"))
    assert ran.code == 1
    assert "failed   TCP " in ran.out
    assert "What to do: Check that the control plane runs" in ran.out
    assert "skipped  TLS            because the step tcp failed" in ran.out
    assert ran.out.endswith("\nfailed: TCP\n")


def test_without_a_control_plane(run: Any) -> None:
    ran = run("doctor")
    assert ran.code == 1
    assert "no control plane is configured" in ran.out


def test_a_configuration_that_cannot_be_read(run: Any) -> None:
    assert run("doctor", "--config", "missing.toml").code == 2
