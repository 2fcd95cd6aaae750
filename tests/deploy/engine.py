"""A Docker engine of a test's own: in a network namespace of its own, with its own folder, and nothing left behind.

Ports that it publishes are those of the compose file, seen from that namespace alone. What is built in it reaches
package indexes through a tunnel, for the namespace leads nowhere.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import deploy_tools as tools
from deploy_network import Network

PATIENCE_S = 60.0
PROGRAMS = ("dockerd", "docker", "containerd", "runc", "setpriv", "nsenter")


class NoEngine(Exception):
    """Why there is none."""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=tools.DOCKER_PATH) is None]


class Engine:
    """Runs with `with`. Raises NoEngine when it does not come up."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._folder = Path(tempfile.mkdtemp(prefix="gwt-docker-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Of its clients. Those of this machine and their settings stay out of it."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "USER", "TMPDIR") if name in os.environ}
        own = {"DOCKER_HOST": f"unix://{self._folder}/socket", "DOCKER_CONFIG": str(self._folder / "client")}
        return {**kept, **own, "PATH": tools.DOCKER_PATH}

    def __enter__(self) -> Self:
        client = self._folder / "client" / "config.json"
        client.parent.mkdir()
        client.write_text(json.dumps({"cliPluginsExtraDirs": [str(tools.DOCKER_PLUGINS)]}))
        settings = self._folder / "daemon.json"
        settings.write_text("{}")
        command = [
            *("setpriv", "--pdeathsig", "TERM", "nsenter", f"--net=/run/netns/{self._network.name}", "dockerd"),
            *("--config-file", str(settings), "--host", f"unix://{self._folder}/socket"),
            *("--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "run")),
            *("--pidfile", str(self._folder / "pid"), "--exec-opt", "native.cgroupdriver=cgroupfs"),
            *("--cgroup-parent", self._network.name, "--group", "root"),
            # Where containerd runs as a service, it may serve another engine, whose containers are not ours.
            *("--containerd-namespace", self._network.name),
            *("--containerd-plugins-namespace", f"{self._network.name}-plugins"),
        ]
        init = tools.DOCKER / "bin" / "tini-static"
        if init.exists():
            command += ["--init-path", str(init)]
        with (self._folder / "log").open("wb") as log:
            # In a session of its own: Ctrl-C ends the test, and the test ends the engine.
            self._process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            running = self.docker("ps", "--quiet", check=False).split()
            if running:
                self.docker("kill", *running, check=False)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)
            self._process.kill()
            self._process.wait()
        for group in Path("/sys/fs/cgroup").glob(f"*/{self._network.name}"):
            for folder in sorted((group, *group.glob("**/")), reverse=True):  # the inner ones first
                with contextlib.suppress(OSError):
                    folder.rmdir()
        shutil.rmtree(self._folder, ignore_errors=True)

    def docker(self, *arguments: str, given: str = "", folder: Path | None = None, check: bool = True) -> str:
        """What a docker command prints, in `folder`; it must end well, unless told otherwise."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=folder, env=self.environment, input=given, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        if not check:
            return done.stdout + done.stderr
        assert done.returncode == 0, f"docker {' '.join(arguments[:3])}: {done.stderr[-4000:]}"
        return done.stdout

    def load(self, *names: str) -> None:
        """Images of podman."""
        archive = self._folder / "images.tar"
        save = (
            "podman",
            "save",
            "--quiet",
            "--multi-image-archive",
            "--format",
            "docker-archive",
            "--output",
            str(archive),
        )
        subprocess.run([*save, *names], check=True, capture_output=True, timeout=600)
        self.docker("load", "--input", str(archive))
        archive.unlink()

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            if "Server Version" in self.docker("info", check=False):
                return
            time.sleep(0.2)
        said = (self._folder / "log").read_text(errors="replace").splitlines()
        raise NoEngine("\n".join(line for line in said if "level=info" not in line)[-1500:])
