"""A hub that is killed loses nothing that it had answered, and its lock does not outlive it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from hub_lab import DOCUMENT, PATIENCE, LabMaker

from gatewright.hub.client import HubClient

PROGRAM = """
import asyncio, sys
from pathlib import Path
from gatewright.hub.config import HubConfig
from gatewright.hub.server import Hub

async def main():
    hub = Hub(HubConfig(data_dir=Path(sys.argv[1]), port=0))
    await hub.start()
    print(hub.port, flush=True)
    await hub.wait()

asyncio.run(main())
"""


async def _started(data_dir: Path) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, str(data_dir), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE * 3):
        line = await process.stdout.readline()
        while line and not line.strip().isdigit():
            line = await process.stdout.readline()
    return process, int(line)


@pytest.mark.parametrize("rounds", [3])
async def test_what_was_answered_survives_a_kill(tmp_path: Path, make_lab: LabMaker, rounds: int) -> None:
    data_dir = tmp_path / "hub"
    expected: list[str] = []
    for number in range(rounds):
        process, port = await _started(data_dir)
        try:
            async with HubClient.from_data_dir(data_dir, port=port) as client:
                if number == 0:
                    await client.register("edge")
                document = DOCUMENT.replace("orders", f"orders{number}").replace("Orders", f"Orders{number}")
                deployed = await client.deploy(document, ["edge"])
                await client.create_key(deployed.artifact.handle, "some-key")
                expected.append(deployed.deployments[0].deployment_id)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
    async with make_lab(data_dir=data_dir) as lab:
        rows = await lab.client.deployments()
        assert [row.deployment_id for row in rows] == expected
        token = (await lab.client.issue_token("edge")).token
        async with lab.peer(token) as peer:
            got = [(await peer.event())["type"] for _ in range(2 * rounds)]
        assert got == ["api.deployed", "apikey.created"] * rounds
