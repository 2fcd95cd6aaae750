"""A real controller process and a stand-in API Manager: what people type and see."""

import asyncio
import json
import re
import signal
import subprocess
import sys

import httpx2
import pytest
from apim_lab import GATEWAY, until
from controlplane_lab import rest_api

from gatewright.demo.ports import HOST, Ports, settled

PROGRAM = (sys.executable, "-m", "gatewright.cli.main")


def configuration(ports: Ports, apim) -> str:
    bind = "\n".join(f'{name} = "{HOST}"' for name in ("management", "admin", "xds"))
    return (
        f"[controller.server]\napi_port = {ports.management}\nxds_port = {ports.xds}\nshutdown_timeout = '2s'\n"
        f"[controller.admin_server]\nport = {ports.admin}\n[controller.metrics]\nenabled = false\n"
        f'[controller.controlplane]\nhost = "{apim.host}"\ngateway_name = "{GATEWAY}"\n'
        f'[gatewright.controlplane]\nca_file = "{apim.ca_file}"\n[gatewright.bind]\n{bind}\n'
        "[gatewright]\ngenerate_encryption_keys = true\n"
    )


class Process:
    """`gatewright controller` with everything in one folder."""

    def __init__(self, folder, apim, credentials) -> None:
        self.folder, self.ports, self.password = folder, settled(Ports()), ""
        (folder / "gateway.toml").write_text(configuration(self.ports, apim))
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN": credentials["token"],
            "APIP_GW_CONTROLLER_CONTROLPLANE_APIM__OAUTH2__CLIENT__ID": credentials["apim_oauth2_client_id"],
            "APIP_GW_CONTROLLER_CONTROLPLANE_APIM__OAUTH2__CLIENT__SECRET": credentials["apim_oauth2_client_secret"],
        }
        self.log = folder / "log"

    def start(self) -> None:
        command = [*PROGRAM, "controller", "--config", str(self.folder / "gateway.toml"), "--data-dir", "data"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    async def up(self) -> None:
        async def answers():
            assert self.process.poll() is None, self.log.read_text()
            try:
                async with httpx2.AsyncClient(trust_env=False) as client:
                    return (await client.get(f"http://{HOST}:{self.ports.admin}/ready")).status_code == 200
            except httpx2.HTTPError:
                return False

        await until(answers)
        found = re.search(r"password +(\S+)", self.log.read_text())
        self.password = self.password or (found[1] if found else "")
        self.client = httpx2.AsyncClient(
            base_url=f"http://{HOST}:{self.ports.management}/api/management/v1",
            auth=("admin", self.password),
            trust_env=False,
            timeout=60,
        )

    async def command(self, *words: str) -> tuple[int, str]:
        (self.folder / "password").write_text(self.password)
        where = ["--admin-server", f"http://{HOST}:{self.ports.admin}", "--user", "admin"]
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, *words, *where, "--password-file", str(self.folder / "password"),
            stdout=subprocess.PIPE, env=self.environment, cwd=self.folder,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    async def kill(self) -> None:
        await self.client.aclose()
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)


@pytest.fixture
async def process(tmp_path, apim, credentials):
    made = Process(tmp_path, apim, credentials)
    made.start()
    await made.up()
    yield made
    await made.kill()


@pytest.mark.conforms("AP-058", "AP-067", "CP-153")
async def test_create_look_plan_restart_delete(process, apim):
    answer = await process.client.post("/rest-apis", json=rest_api("orders"))
    assert answer.status_code == 201, answer.text

    async def synced():
        status = (await process.client.get("/rest-apis/orders")).json()["status"]
        return status["apiManager"] if status.get("apiManager", {}).get("state") == "synced" else None

    state = await until(synced)
    (api,) = await apim.client.apis("name:orders")
    assert state["apiId"] == api["id"]
    assert {"revision", "syncedAt"} <= set(state)

    code, out = await process.command("apim", "plan", "--output", "json")
    assert code == 0, out
    assert [(entry["handle"], entry["action"]) for entry in json.loads(out)["apis"]] == [("orders", "none")]
    code, out = await process.command("status")
    assert code == 0, out
    assert "API MANAGER" in out
    assert "1 synced" in out
    assert f"API {api['id']}" in " ".join(out.split())

    await process.kill()
    seen = len(apim.requests("/apis/import"))
    process.start()
    await process.up()
    await until(synced)
    answer = await process.client.post("/rest-apis", json=rest_api("late"))
    await until(lambda: len(apim.requests("/apis/import")) > seen)
    assert len(apim.requests("/apis/import")) == seen + 1, "what is in step is not sent again"

    answer = await process.client.delete("/rest-apis/orders")
    assert answer.status_code == 200
    (undeploy,) = apim.requests("undeploy-revision")
    assert undeploy.status == 201
    assert (await process.client.get("/rest-apis/orders")).status_code == 404
    assert not apim.requests(method="DELETE")
