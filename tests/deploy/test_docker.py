"""The page about containers, with a real Docker engine: images built, run, and all services of compose, as it says."""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import deploy_databases as databases
import deploy_engine as engine
import deploy_images as images
import deploy_network as network
import pytest
from deploy_chart import REPOSITORY
from documentation_pages import Reader

pytestmark = pytest.mark.long

PYTHON = "docker.io/library/python:3.11-slim-bookworm"
PROXY_PORT = 3128
PATIENCE_S = 120.0
PAGE = REPOSITORY / "docs" / "install-containers.md"


@pytest.fixture(scope="module")
def apart() -> Iterator[network.Network]:
    missing = [*engine.missing(), *images.missing_tools()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; scripts/install-tools.sh installs them")
    reason = network.why_not()
    if reason:
        pytest.skip(reason)
    with network.Network() as made:
        yield made


@pytest.fixture(scope="module")
def docker(apart: network.Network) -> Iterator[engine.Engine]:
    """An engine that has the images which a registry would give."""
    try:
        names = [images.base(), databases.build()]
    except images.NotBuilt as error:
        pytest.skip(f"no base images: {error}")
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(engine.Engine(apart))
        except engine.NoEngine as error:
            pytest.skip(f"no Docker engine runs here: {error}")
        running.load(*names)
        running.docker("tag", images.BASE, PYTHON)
        for name in (databases.POSTGRES, databases.REDIS):
            running.docker("build", "--tag", name, "-", given=databases.ENTRY)
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody has who has cloned the repository, as far as the page needs it."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if not name.startswith(("tests/", "bench/")) and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture
def index(apart: network.Network, checkout: Path) -> Iterator[tuple[str, ...]]:
    """Options of a build that let it reach the package index, as the page describes them."""
    with apart.tunnel(PROXY_PORT) as proxy:
        (checkout / "pip.conf").write_text(f"[global]\ncert = {images.AUTHORITIES}\nproxy = {proxy}\n")
        yield ("--secret", "id=pip.conf,src=pip.conf")


def test_the_page_does_what_it_says(
    docker: engine.Engine, apart: network.Network, checkout: Path, index: tuple[str, ...]
) -> None:
    """Images are built, all services come up healthy, connected and with PostgreSQL, and an API is served."""
    environment = docker.environment
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["EDITOR"] = "sed -i s/^POSTGRES_PASSWORD=/POSTGRES_PASSWORD=a-password/"
    within = ("nsenter", f"--net=/run/netns/{apart.name}")
    replaced = {"docker build ": " ".join(("docker", "build", *index, ""))}
    with Reader(checkout, {}, environment, replaced, engine=True, within=within, patience_s=1200) as reader:
        reader.follow(PAGE.read_text())
    assert docker.docker("ps", "--all", "--quiet") == ""


def test_an_image_of_another_base_runs_without_rights(
    docker: engine.Engine, checkout: Path, index: tuple[str, ...]
) -> None:
    """On a read-only file system, as nobody in particular; Docker finds it healthy by the image's own check."""
    build = ("build", "--build-arg", f"BASE={images.BASE}", *index, "-f", "deploy/image/Containerfile")
    for target in images.TARGETS:
        docker.docker(*build, "--target", target, "-t", f"again/{target}", ".", folder=checkout)
        (found,) = json.loads(docker.docker("image", "inspect", f"again/{target}"))
        assert found["Config"]["User"] == "10001:10001"
        assert found["Config"]["Healthcheck"]["Test"][1:4] == ["gatewright", "health", target]
    (checkout / "config.toml").write_text("[gatewright]\ngenerate_encryption_keys = true\n")
    rights = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    often = ("--health-interval", "1s")
    config = ("--volume", f"{checkout}/config.toml:/etc/gateway-controller/config.toml:ro")
    name = docker.docker("run", "--detach", *rights, *often, *config, "again/controller").strip()
    deadline = time.monotonic() + PATIENCE_S
    while (state := docker.docker("inspect", "--format", "{{.State.Health.Status}}", name).strip()) != "healthy":
        assert time.monotonic() < deadline, f"{state}: {docker.docker('logs', name, check=False)}"
        time.sleep(0.5)
    assert docker.docker("exec", name, "id", "-u").strip() == "10001"
    assert "Read-only" in docker.docker("exec", name, "touch", "/opt/gatewright/x", check=False)
    docker.docker("stop", name)
    assert docker.docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
