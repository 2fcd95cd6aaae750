"""`gatewright apim register` against a stand-in API Manager: real TLS, real registration, real tokens."""

import asyncio
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatewright.cli import apim_register_command
from gatewright.hub.apim.config import User
from gatewright.settings.loading import Layers, settle
from support.apim import Apim, running

USERS = (
    User("admin", "admin", ("admin",)),
    User("creator", "the-password-of-creator", ("Internal/devops",)),
    User("nobody", "the-password-of-nobody", ("Internal/subscriber",)),
)


@pytest.fixture
async def apim(tmp_path: Path) -> Any:
    async with running(tmp_path / "apim", users=USERS) as made:
        yield made


@pytest.fixture
def register(run: Any, apim: Apim, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, with the password of its user in the environment."""

    async def invoke(*arguments: str, user: str = "admin", trusted: bool = True) -> Any:
        password = next((each.password for each in USERS if each.name == user), "the-password-of-anybody")
        monkeypatch.setenv(apim_register_command.PASSWORD_VARIABLE, password)
        trust = ("--ca-file", str(apim.ca_file)) if trusted else ()
        ran = await asyncio.to_thread(run, "apim", "register", apim.host, "--user", user, *trust, *arguments)
        assert "the-password-of" not in ran.out + ran.err
        return ran

    return invoke


def told(ran: Any) -> Any:
    """The JSON result; the stand-in in this process logs before it."""
    return json.loads(ran.out[ran.out.index("{\n") :])


async def test_a_secret_that_the_gateway_reads(register: Any, apim: Apim, tmp_path: Path) -> None:
    out = tmp_path / "secret.yaml"
    ran = await register("--out", str(out), "--namespace", "edge", "-o", "json")
    assert ran.code == 0, ran.err
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    document = yaml.safe_load(out.read_text())
    assert (document["apiVersion"], document["kind"], document["type"]) == ("v1", "Secret", "Opaque")
    assert document["metadata"] == {"name": "gatewright-apim", "namespace": "edge"}
    expected = await apim.client.register_client("gateway-controller")
    values = document["stringData"]
    assert values == {
        "APIP_GW_CONTROLLER_CONTROLPLANE_APIM__OAUTH2__CLIENT__ID": expected["clientId"],
        "APIP_GW_CONTROLLER_CONTROLPLANE_APIM__OAUTH2__CLIENT__SECRET": expected["clientSecret"],
    }
    linked = settle(Layers(), values).settings.controller.controlplane
    assert linked.apim_oauth2_client_id == expected["clientId"]
    assert linked.apim_oauth2_client_secret.get_secret_value() == expected["clientSecret"]
    result = told(ran)
    assert set(result["scopes"]) >= {"apim:api_import_export", "apim:api_view"}
    assert (result["clientId"], result["owner"], result["file"]) == (expected["clientId"], "admin", str(out))
    assert expected["clientSecret"] not in ran.out + ran.err


async def test_an_environment_file_with_the_gateway_itself(register: Any, apim: Apim, tmp_path: Path) -> None:
    out = tmp_path / "apim.env"
    gateway = ("--gateway", "prod-gateway", "--vhost", "https://gw.example.com:8443")
    ran = await register("--as", "env", "--out", str(out), *gateway)
    assert ran.code == 0, ran.err
    shown = await asyncio.to_thread(subprocess.check_output, ["sh", "-c", f"set -a; . {out}; env"], text=True, env={})
    values = dict(line.split("=", 1) for line in shown.split("\n") if line.startswith("APIP_GW_"))
    linked = settle(Layers(), values).settings.controller.controlplane
    assert (linked.host, linked.gateway_name) == (apim.host, "prod-gateway")
    assert len(linked.token.get_secret_value()) == 80
    (registered,) = await apim.client.gateways()
    assert (registered["name"], registered["vhost"]) == ("prod-gateway", "https://gw.example.com:8443")
    assert linked.token.get_secret_value() not in ran.out + ran.err

    again = await register("--as", "env", "--out", str(out), "--force", *gateway)
    assert again.code == 1
    assert "--new-token" in again.err
    before = out.read_bytes()
    renewed = await register("--as", "env", "--out", str(out), "--force", "--new-token", *gateway)
    assert renewed.code == 0, renewed.err
    assert out.read_bytes() != before


async def test_a_file_is_never_replaced_silently(register: Any, apim: Apim, tmp_path: Path) -> None:
    out = tmp_path / "kept.yaml"
    out.write_text("something of value")
    ran = await register("--out", str(out))
    assert ran.code == 2
    assert "--force" in ran.err
    assert out.read_text() == "something of value"
    assert not apim.requests()
    assert (await register("--out", str(tmp_path / "no" / "folder.yaml"))).code == 2
    assert not apim.requests()
    ran = await register("--out", str(out), "--force")
    assert ran.code == 0, ran.err
    assert "kind: Secret" in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


async def test_a_dry_run_changes_nothing(register: Any, apim: Apim, tmp_path: Path) -> None:
    out = tmp_path / "secret.yaml"
    ran = await register("--dry-run", "--out", str(out), "--gateway", "prod-gateway", "--vhost", "https://gw")
    assert ran.code == 0, ran.err
    assert "Nothing was changed" in ran.out
    assert "prod-gateway" in ran.out
    assert not out.exists()
    assert {request.path for request in apim.requests()} == {"/internal/gateway/.well-known"}
    assert told(await register("--dry-run", "-o", "json"))["dryRun"] is True


async def test_what_can_be_wrong(register: Any, apim: Apim, run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    async def failing(*arguments: str, code: int, words: str, **more: Any) -> None:
        ran = await register("--out", str(tmp_path / "out.yaml"), *arguments, **more)
        assert (ran.code, words in ran.err) == (code, True), ran.err
        assert "What to do:" in ran.err
        assert not (tmp_path / "out.yaml").exists()

    await failing(user="unknown", code=4, words="does not accept the password of unknown")
    await failing(trusted=False, code=3, words="--ca-file")
    await failing("--owner", "admin", user="creator", code=1, words="creator may not register a client for admin")
    await failing("--client-name", "weak", user="nobody", code=4, words="lacks apim:api_import_export")
    gateway = ("--gateway", "prod-gateway", "--vhost", "https://gw")
    await failing(*gateway, "--client-name", "creators", user="creator", code=4, words="lacks apim:admin")
    assert (await register("--out", str(tmp_path / "first.yaml"))).code == 0
    await failing("--client-name", "gateway-controller", user="creator", code=4, words="belongs to somebody else")
    apim.switches.turn({"token_mode": "401"})
    await failing(code=4, words="invalid_client")
    apim.switches.turn({"token_mode": "500"})
    await failing(code=1, words="HTTP 500")
    apim.switches.turn({"well_known": "404"})
    await failing(code=1, words="is no API Manager 4.7")

    monkeypatch.setenv(apim_register_command.PASSWORD_VARIABLE, "x")
    for address, code in (("127.0.0.1:1", 3), ("name.invalid:9443", 3), ("http://h", 2), ("h/path", 2)):
        ran = await asyncio.to_thread(run, "apim", "register", address)
        assert ran.code == code, ran.err


async def test_an_unverified_certificate_works_with_a_warning(register: Any, tmp_path: Path) -> None:
    ran = await register("--insecure-skip-verify", "--out", str(tmp_path / "s.yaml"), trusted=False)
    assert ran.code == 0
    assert "NOT verified" in ran.err


async def test_where_the_password_comes_from(run: Any, apim: Apim, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv(apim_register_command.PASSWORD_VARIABLE, raising=False)
    trust = ("apim", "register", apim.host, "--ca-file", str(apim.ca_file))
    ran = await asyncio.to_thread(run, *trust)
    assert ran.code == 4
    assert "--password-file -" in ran.err
    (tmp_path / "password").write_text("admin\n")
    ran = await asyncio.to_thread(run, *trust, "--password-file", str(tmp_path / "password"))
    assert ran.code == 0, ran.err
    (tmp_path / "stdin").write_text("admin\n")
    with (tmp_path / "stdin").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ran = await asyncio.to_thread(run, *trust, "--password-file", "-", "--force")
    assert ran.code == 0, ran.err
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[controller.controlplane]\nhost = "{apim.host}"\n[gatewright.controlplane]\nca_file = "{apim.ca_file}"\n'
    )
    password = ("--password-file", str(tmp_path / "password"))
    ran = await asyncio.to_thread(run, "apim", "register", "--config", str(config), *password, "--dry-run", "--force")
    assert ran.code == 0, ran.err


async def test_on_a_terminal_the_password_is_asked_for_without_echo(apim: Apim, tmp_path: Path) -> None:
    def on_a_terminal() -> tuple[int, str]:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "gatewright.cli.main", "apim", "register", apim.host, "--user", "creator"]
        process = subprocess.Popen(
            [*command, "--ca-file", str(apim.ca_file), "--out", str(tmp_path / "s.yaml")],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("GATEWRIGHT_")},
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while b"Password of creator" not in shown:
                shown += os.read(ours, 4096)
            os.write(ours, b"the-password-of-creator\n")
            while data := os.read(ours, 4096):
                shown += data
        except OSError:
            pass  # how a terminal ends when its last process has
        finally:
            os.close(ours)
        return process.wait(60), shown.decode()

    code, shown = await asyncio.to_thread(on_a_terminal)
    assert code == 0, shown
    assert "the-password-of-creator" not in shown
    assert (tmp_path / "s.yaml").exists()
