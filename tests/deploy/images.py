"""Builds the images of `deploy/image` with buildah and podman, on a base made of Debian packages: no registry is asked.

Layers are kept between runs, so that only what has changed is built again.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from deploy_chart import REPOSITORY

BASE = "localhost/gatewright-test-base:bookworm"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
VERSION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
TOOLS = ("buildah", "podman", "runc", "debootstrap")
TARGETS = ("controller", "router")


class NotBuilt(Exception):
    """Why there are no images."""


def missing_tools() -> list[str]:
    """Programs that are not installed."""
    return [name for name in TOOLS if shutil.which(name) is None]


def build() -> dict[str, str]:
    """Target → image name, as the chart names it. `GATEWRIGHT_TEST_IMAGES=kept`: those of an earlier run, if any."""
    kept = {target: f"gatewright/{target}:{VERSION}" for target in TARGETS}
    if os.environ.get("GATEWRIGHT_TEST_IMAGES") == "kept" and all(map(_exists, kept.values())):
        return kept
    with _alone(), tempfile.TemporaryDirectory() as folder:
        _make_base()
        # The authorities of this machine: packages may come through a proxy that has one of its own.
        pip = Path(folder) / "pip.conf"
        pip.write_text(f"[global]\ncert = {AUTHORITIES}\n")
        return {target: _build(target, pip) for target in TARGETS}


def _build(target: str, pip: Path) -> str:
    """Each of the two builders makes one; they share their layers."""
    name = f"gatewright/{target}:{VERSION}"
    builder = {"controller": "buildah", "router": "podman"}[target]
    _run(
        "nice", "-n", "5", builder, "build", "--isolation", "chroot", "--layers", "--format", "docker",
        "--build-arg", f"BASE={BASE}", "--secret", f"id=pip.conf,src={pip}",
        "--file", "deploy/image/Containerfile", "--target", target, "--tag", f"localhost/{name}", ".",
    )  # fmt: skip
    return name


def base() -> str:
    """The name of an image that is like the official ones of Python on Debian."""
    with _alone():
        _make_base()
    return BASE


def _make_base() -> None:
    if _exists(BASE.removeprefix("localhost/")):
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        _run(
            "debootstrap",
            "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates",
            "bookworm",
            str(root),
        )
        for leftover in (root / "var/cache/apt/archives", root / "var/lib/apt/lists"):
            shutil.rmtree(leftover, ignore_errors=True)
        shutil.copy(AUTHORITIES, root / "etc/ssl/certs/ca-certificates.crt")
        archive = Path(folder) / "root.tar"
        _run("tar", "-C", str(root), "-cf", str(archive), ".")
        _run("podman", "import", str(archive), BASE)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process at a time: the others find what the first has built."""
    with (Path(tempfile.gettempdir()) / "gatewright-test-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _exists(name: str) -> bool:
    return subprocess.run(["podman", "image", "exists", f"localhost/{name}"], check=False).returncode == 0


def inspect(name: str) -> dict[str, object]:
    """What podman knows of an image."""
    found: list[dict[str, object]] = json.loads(_run("podman", "image", "inspect", f"localhost/{name}"))
    return found[0]


def inside(name: str, script: str) -> str:
    """What a shell in the image prints."""
    limits = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000")
    options = ("--rm", "--network", "none", "--no-healthcheck", *limits, "--entrypoint", "sh")
    return _run("podman", "--runtime", "runc", "run", *options, f"localhost/{name}", "-c", script)


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise NotBuilt(f"{' '.join(command[:4])}…: {done.stderr[-2000:]}")
    return done.stdout
