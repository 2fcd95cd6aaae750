"""A disk that takes nothing more: writes are refused with one clear error, traffic goes on, and it heals by itself.

The limit of file sizes stands in for the end of the disk: it needs no privilege and can be lifted again while the
process runs. The test with a real file system runs where one can be mounted.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from envoy_harness import Backend
from gateway_processes import Gateway, rest_api, until


@contextmanager
def full_disk(gateway: Gateway) -> Iterator[None]:
    """No file of the database becomes larger than the largest is now."""
    pid = gateway.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in gateway.data_dir.glob("gateway.db*"))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def write_until_full(gateway: Gateway, backend: Backend, words: str) -> dict[str, int]:
    """Create large APIs until three in a row are refused; the status of each."""
    answers: dict[str, int] = {}
    for number in range(100):
        document = rest_api(f"more-{number}", backend.port)
        document["metadata"]["annotations"]["padding"] = "x" * 60_000
        answer = gateway.post(document)
        answers[f"more-{number}"] = answer.status
        assert answer.status in {201, 503}
        if answer.status == 503:
            assert words in answer.text
            assert "Traceback" not in answer.text
        if list(answers.values())[-3:] == [503, 503, 503]:
            return answers
    raise AssertionError("the disk does not become full")


def only_acknowledged_is_served(gateway: Gateway, answers: dict[str, int]) -> None:
    listed = {api["metadata"]["name"] for api in gateway.management.get("/rest-apis").json()["apis"]}
    assert {name for name in listed if name in answers} == {name for name, status in answers.items() if status == 201}
    for name, status in answers.items():
        expected = 200 if status == 201 else 404
        until(lambda name=name, expected=expected: gateway.get(f"/{name}/items").status == expected, name)


def test_a_full_disk_stops_writes_only(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("healthy", backend.port))
    with gateway.undisturbed("/healthy/items") as traffic:
        with full_disk(gateway):
            answers = write_until_full(gateway, backend, "disk")
            # Reading works, and says that nothing else has changed.
            only_acknowledged_is_served(gateway, answers)
            assert gateway.status()["controller"]["ready"]
            traffic.proceed(20)
        until(lambda: gateway.post(rest_api("room-again", backend.port)).status in {201, 409}, "writes work again")
        until(lambda: gateway.get("/room-again/items").status == 200, "and are served")
    # Everything is on disk that was acknowledged, and nothing that was not.
    gateway.kill()
    gateway.start()
    only_acknowledged_is_served(gateway, answers)
    assert gateway.get("/room-again/items").status == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_file_system_without_space(small_disk: Path, backend: Backend) -> None:
    with Gateway(small_disk) as gateway:
        gateway.deploy(rest_api("healthy", backend.port))
        filler = small_disk / "filler"
        with gateway.undisturbed("/healthy/items") as traffic:
            descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
            try:
                with suppress(OSError):
                    while True:
                        os.write(descriptor, bytes(4096))
            finally:
                os.close(descriptor)
            answers = write_until_full(gateway, backend, "full")
            only_acknowledged_is_served(gateway, answers)
            traffic.proceed(20)
            filler.unlink()
            until(lambda: gateway.post(rest_api("room-again", backend.port)).status in {201, 409}, "writes work again")
            until(lambda: gateway.get("/room-again/items").status == 200, "and are served")
        only_acknowledged_is_served(gateway, answers)
