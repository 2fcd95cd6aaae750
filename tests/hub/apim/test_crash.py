"""A stand-in API Manager that is killed in the middle of imports loses nothing that it had answered."""

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager, suppress

import httpx2

from gatewright.hub.apim.client import ApiManagerClient
from support.apim import PATIENCE, connected, running, upload
from support.projects import project

COMMAND = ("-m", "gatewright.cli.main", "hub", "start", "--as", "api-manager", "--port", "0", "--data-dir")


@asynccontextmanager
async def until_killed(data_dir):
    """The command in a process of its own; killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *COMMAND, str(data_dir), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        url = ""
        async with asyncio.timeout(PATIENCE):
            while not url and (line := (await process.stderr.readline()).decode()):
                found = re.search(r"https://\S+", line)
                url = found[0] if found else ""
        assert url
        async with ApiManagerClient.from_data_dir(data_dir, url) as client:
            yield client, process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()


async def test_every_answered_import_survives_a_kill(tmp_path):
    data_dir = tmp_path / "apim"
    answered: dict[str, tuple[str, str]] = {}
    token = ""
    for life in range(2):
        async with until_killed(data_dir) as (client, process):
            token = token or (await client.register_gateway("edge"))["registrationToken"]
            headers = {"authorization": f"Bearer {await client.sign_in()}", "accept": "application/json"}

            async def importing(worker: int, client=client, headers=headers, process=process, life=life) -> None:
                for number in range(1000):
                    name = f"Api {life} {worker} {number}"
                    archive = project("edge", name=name, initiatedFromGateway=False)
                    client.http.headers.update(headers)
                    answer = (await upload(client.http, archive)).json()
                    answered[name] = answer["id"], answer["revision"]
                    if len(answered) == 12 * (life + 1):
                        os.kill(process.pid, signal.SIGKILL)

            with suppress(httpx2.HTTPError):
                await asyncio.gather(*(importing(worker) for worker in range(3)))
    assert len(answered) >= 24
    async with running(data_dir) as apim:
        kept = {each["name"]: each["id"] for each in await apim.client.apis()}
        assert {name: kept.get(name) for name in answered} == {name: ids[0] for name, ids in answered.items()}
        for name, api_id in kept.items():
            [revision] = await apim.client.revisions(api_id)
            assert [each["name"] for each in revision["deploymentInfo"]] == ["edge"]
            assert name not in answered or answered[name][1] == revision["id"]
        async with connected(apim, token) as gateway:
            told = {(await gateway.message())["payload"]["apiId"] for _ in kept}
        assert told == set(kept.values())
