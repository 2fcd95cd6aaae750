"""Runs the Pods of manifests under podman as a kubelet would: with their environment, volumes, rights and probes.

What it knows of Pods is what the chart renders; a field that it does not know is an error, so that nothing of what
users get is passed over.
"""

import base64
import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from deploy_chart import Manifests
from deploy_network import GATEWAY, Network

PODMAN = ("podman", "--runtime", "runc")
LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000")
QUIET = ("--no-healthcheck", "--pull=never")
PATIENCE_S = 90.0
_POD_FIELDS = {
    "affinity",  # there is one node
    "automountServiceAccountToken", "containers", "enableServiceLinks", "securityContext", "serviceAccountName",
    "terminationGracePeriodSeconds", "volumes",
}  # fmt: skip
_CONTAINER_FIELDS = {
    "args", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name", "ports",
    "readinessProbe", "resources", "securityContext", "startupProbe", "volumeMounts",
}  # fmt: skip


@dataclass
class Pod:
    """A running one."""

    name: str
    address: str
    containers: dict[str, str] = field(default_factory=dict)
    """Name in the manifest → name at podman."""

    def log(self, container: str) -> str:
        done = _run("logs", self.containers[container])
        return done.stdout + done.stderr

    def execute(self, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        return _run("exec", self.containers[container], *command, check=False)


class Cluster:
    """Manifests that run, the Secrets beside them, and the names under which Pods find each other."""

    def __init__(self, network: Network, folder: Path, hosts: Mapping[str, str]) -> None:
        """`hosts`: names outside the cluster and their addresses; `folder` holds all volumes."""
        self.network = network
        self.secrets: dict[str, dict[str, str]] = {}
        self._folder = folder
        self._hosts = dict(hosts)
        self._pods: dict[str, Pod] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._pods):
            self.delete(name)

    def create(self, manifests: Manifests, component: str, name: str = "") -> Pod:
        """A Pod of the Deployment of `component`; returns when all its containers are ready."""
        deployment = manifests.get("Deployment", f"-{component}")
        template = deployment["spec"]["template"]
        spec = template["spec"]
        assert not set(spec) - _POD_FIELDS, set(spec) - _POD_FIELDS
        name = name or component
        namespace, address = self.network.add(name)
        self._name_services(manifests, template["metadata"]["labels"], address)
        pod = self._pods[name] = Pod(name, address)
        volumes = {volume["name"]: self._volume(name, volume, manifests, spec) for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert not set(container) - _CONTAINER_FIELDS, set(container) - _CONTAINER_FIELDS
            at_podman = f"{self.network.name}-{name}-{container['name']}"
            options = [*QUIET, *LIMITS, *self._host_options(), *_rights(spec, container), *_memory(container)]
            options += [*self._environment(container), *self._mounts(container, volumes)]
            place = ("--detach", "--name", at_podman, "--network", f"ns:{namespace}")
            _run("run", *place, *options, container["image"], *container.get("args", ()))
            pod.containers[container["name"]] = at_podman
        for container in spec["containers"]:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                self._wait(pod, container, container[probe]["httpGet"])
        return pod

    def delete(self, name: str, *, grace_s: int = 20) -> None:
        """SIGTERM, then SIGKILL; its emptyDir volumes go with it, claims stay."""
        pod = self._pods.pop(name)
        for container in pod.containers.values():
            _run("rm", "--force", "--time", str(grace_s), container)
        self.network.remove(name)
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def logs(self) -> str:
        """Of all, for the report of a failure."""
        parts = [f"== {pod.name} {name}\n{pod.log(name)}" for pod in self._pods.values() for name in pod.containers]
        return "\n".join(parts)

    def ask(self, address: str, port: int, path: str, **options: Any) -> tuple[int, str]:
        """An HTTP request from outside the Pods; status and body. `tls=True`: any certificate will do."""
        tls = ssl._create_unverified_context() if options.pop("tls", False) else None

        def request() -> tuple[int, str]:
            made = (
                http.client.HTTPConnection(address, port, timeout=30)
                if tls is None
                else http.client.HTTPSConnection(address, port, timeout=30, context=tls)
            )
            try:
                made.request(options.get("method", "GET"), path, options.get("body"), options.get("headers", {}))
                response = made.getresponse()
                return response.status, response.read().decode()
            finally:
                made.close()

        return self.network.inside(request)

    def name(self, host: str, address: str) -> None:
        """A further name for Pods that are made from now on."""
        self._hosts[host] = address

    def listens(self, address: str, port: int) -> bool:
        """Whether a connection is taken."""

        def connect() -> bool:
            try:
                socket.create_connection((address, port), timeout=5).close()
            except OSError:
                return False
            return True

        return self.network.inside(connect)

    @contextlib.contextmanager
    def running(self, image: str, files: Mapping[str, str]) -> Iterator[str]:
        """An image on its own, with nothing but these files; the container's address."""
        namespace, address = self.network.add("alone")
        name = f"{self.network.name}-alone"
        mounts: list[str] = []
        for number, (path, content) in enumerate(files.items()):
            file = self._folder / "alone" / str(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            mounts += ["--volume", f"{file}:{path}:ro"]
        _run(
            "run",
            "--detach",
            "--name",
            name,
            "--network",
            f"ns:{namespace}",
            "--no-healthcheck",
            *LIMITS,
            *mounts,
            image,
        )
        try:
            yield address
        finally:
            print(_run("logs", name).stderr)  # pytest shows it when the test fails
            _run("rm", "--force", "--time", "20", name)
            self.network.remove("alone")

    def _wait(self, pod: Pod, container: Mapping[str, Any], probe: Mapping[str, Any]) -> None:
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        deadline = time.monotonic() + PATIENCE_S
        answer: object = None
        while time.monotonic() < deadline:
            try:
                tls = probe.get("scheme") == "HTTPS"
                answer = self.ask(pod.address, ports[probe["port"]], probe["path"], tls=tls)
                if answer[0] == 200:
                    return
            except OSError as error:
                answer = error
            if not self._runs(pod, container["name"]):
                break
            time.sleep(0.1)
        raise AssertionError(f"{container['name']} is not ready: {answer}\n{pod.log(container['name'])}")

    def _runs(self, pod: Pod, container: str) -> bool:
        return _run("inspect", "--format", "{{.State.Running}}", pod.containers[container]).stdout.strip() == "true"

    def _name_services(self, manifests: Manifests, labels: Mapping[str, str], address: str) -> None:
        for service in (item for item in manifests.all if item["kind"] == "Service"):
            if service["spec"]["selector"].items() <= labels.items():
                self._hosts[service["metadata"]["name"]] = address

    def _host_options(self) -> Iterator[str]:
        for name, address in {"hub.test": GATEWAY, **self._hosts}.items():
            yield from ("--add-host", f"{name}:{address}")

    def _environment(self, container: Mapping[str, Any]) -> Iterator[str]:
        values: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            values |= self.secrets[source["secretRef"]["name"]]
        for entry in container["env"]:
            if "valueFrom" in entry:
                reference = entry["valueFrom"]["secretKeyRef"]
                values[entry["name"]] = self.secrets[reference["name"]][reference["key"]]
            else:
                values[entry["name"]] = entry["value"]
        for name, value in values.items():
            yield from ("--env", f"{name}={value}")

    def _volume(self, pod: str, volume: Mapping[str, Any], manifests: Manifests, spec: Mapping[str, Any]) -> Path:
        """A folder with what the volume holds, as its group may read, and write where it is not given."""
        group = spec["securityContext"]["fsGroup"]
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            assert f"PersistentVolumeClaim/{claim}" in manifests.kinds()
            folder = self._folder / "claims" / claim
        else:
            folder = self._folder / pod / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        if "emptyDir" in volume or "persistentVolumeClaim" in volume:
            os.chown(folder, 0, group)
            folder.chmod(0o2775)
            return folder
        if "configMap" in volume:
            content = manifests.get("ConfigMap", volume["configMap"]["name"])["data"]
        else:
            content = self.secrets[volume["secret"]["secretName"]]
        items = next(iter(volume[kind] for kind in ("configMap", "secret") if kind in volume)).get("items")
        for item in items or [{"key": key, "path": key} for key in content]:
            file = folder / item["path"]
            value = content[item["key"]]
            file.write_bytes(base64.b64decode(value[7:]) if value.startswith("base64:") else value.encode())
            file.chmod(0o644)
        return folder

    def _mounts(self, container: Mapping[str, Any], volumes: Mapping[str, Path]) -> Iterator[str]:
        for mount in container["volumeMounts"]:
            source = volumes[mount["name"]] / mount.get("subPath", "")
            yield from ("--volume", f"{source}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}")


def _rights(spec: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    pod, own = spec["securityContext"], container["securityContext"]
    assert pod["runAsNonRoot"]
    yield from ("--user", f"{pod['runAsUser']}:{pod['runAsGroup']}", "--group-add", str(pod["fsGroup"]))
    if own["readOnlyRootFilesystem"]:
        yield from ("--read-only", "--read-only-tmpfs=false")
    if not own["allowPrivilegeEscalation"]:
        yield from ("--security-opt", "no-new-privileges")
    for capability in own["capabilities"]["drop"]:
        yield from ("--cap-drop", capability.lower())


def _memory(container: Mapping[str, Any]) -> Iterator[str]:
    limit = container["resources"].get("limits", {}).get("memory")
    if limit:
        yield from ("--memory", limit.removesuffix("i").lower())


def _run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, timeout=120, check=False)
    if check and done.returncode:
        raise AssertionError(f"podman {arguments[0]}: {done.stderr}")
    return done
