"""The one node of a cluster: containerd, kubelet, scheduler, the rules for Services, DNS, and a stand-in for a cloud.

Pods have addresses of their own on a network of the machine; nothing enforces NetworkPolicies there.
"""

import json
import subprocess
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from kubernetes_machine import Machine
from kubernetes_programs import FOLDER, folder_of
from kubernetes_servers import SERVICES, ControlPlane, Failed

NAME = "node"
PODS = "10.78.0.0/24"
BALANCED = "10.79.0"
"""Network of the addresses that Services of type LoadBalancer get, /24."""
PAUSE = "localhost/pause:1"


class Node:
    """Started and ended with `with`. `hosts`: names outside the cluster that Pods can resolve."""

    def __init__(self, plane: ControlPlane, machine: Machine, hosts: Mapping[str, str]) -> None:
        self._plane = plane
        self._machine = machine
        self._hosts = hosts
        self._folder = plane.folder / "node"
        self._cloud = _Cloud(plane)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cloud.stop()

    def _start(self) -> None:
        self._run("ip", "route", "add", f"{BALANCED}.0/24", "dev", "br0")
        self._run("ip", "route", "add", f"{SERVICES}.0/24", "dev", "br0")
        self._folder.mkdir()
        start, config = self._plane.servers.start, self._plane.kubeconfig
        self._network()
        self._containerd()
        self._dns()
        start(
            FOLDER / "kube-scheduler", f"--kubeconfig={config('scheduler')}", "--leader-elect=false", "--secure-port=0"
        )
        start(
            FOLDER / "kube-proxy", f"--kubeconfig={config('proxy')}", f"--hostname-override={NAME}",
            "--proxy-mode=iptables", "--conntrack-max-per-core=0", "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s",
            "--healthz-bind-address=", "--metrics-bind-address=127.0.0.1:10249",
        )  # fmt: skip
        self._kubelet()
        self._plane.until(self._is_ready, "the node is ready")
        self._cloud.start()

    def load(self, images: Mapping[str, str], folder: Path) -> None:
        """Images of podman, into the node under other names."""
        archive = folder / "images.tar"
        for own, name in images.items():
            _podman("tag", own, name)
        _podman("save", "--quiet", "--multi-image-archive", "-o", str(archive), *images.values())
        for name in images.values():
            _podman("untag", name, name)
        self._ctr("images", "import", str(archive))
        archive.unlink()

    def volume(self, name: str, size: str) -> None:
        """A volume of the node, as an administrator of the cluster gives it."""
        folder = self._folder / name
        folder.mkdir()
        term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}]}
        spec = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        }
        document = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
        self._plane.kubectl("create", "-f", "-", document=document)

    def _network(self) -> None:
        folder = self._folder / "cni"
        folder.mkdir()
        ipam = {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
        plugin = {"type": "ptp", "ipMasq": False, "ipam": ipam}
        (folder / "10-pods.conflist").write_text(
            json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [plugin]})
        )
        self._run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def _containerd(self) -> None:
        cri = f"""
version = 2
root = "{self._folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{self._socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{FOLDER}/cni"
  conf_dir = "{self._folder}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""
        (self._folder / "containerd.toml").write_text(cri)
        path = f"{FOLDER}:{folder_of('runc')}:{folder_of('iptables')}:/usr/sbin:/usr/bin:/sbin:/bin"
        options = ("--config", str(self._folder / "containerd.toml"))
        self._plane.servers.start(FOLDER / "containerd", *options, environ={"PATH": path})
        self._plane.until(self._has_containers, "containerd answers")
        archive = self._folder / "pause.tar"
        with subprocess.Popen(["tar", "-C", str(FOLDER), "-c", "pause"], stdout=subprocess.PIPE) as packed:
            words = ("podman", "import", "--quiet", "--change", 'ENTRYPOINT ["/pause"]', "-", PAUSE)
            subprocess.run(words, stdin=packed.stdout, check=True, capture_output=True)
        _podman("save", "--quiet", "-o", str(archive), PAUSE)
        _podman("rmi", PAUSE)
        self._ctr("images", "import", str(archive))

    def _dns(self) -> None:
        hosts = "\n".join(f"    {address} {name}" for name, address in self._hosts.items())
        text = f"""
.:53 {{
  bind {self._plane.address}
  errors
  hosts {{
{hosts}
    fallthrough
  }}
  kubernetes cluster.local {{
    kubeconfig {self._plane.kubeconfig("dns")} test
    ttl 5
  }}
}}
"""
        (self._folder / "Corefile").write_text(text)
        self._plane.servers.start(FOLDER / "coredns", "-conf", str(self._folder / "Corefile"))

    def _kubelet(self) -> None:
        resolve = self._folder / "resolv.conf"
        resolve.write_text(f"nameserver {self._plane.address}\n")
        authority = str(self._plane.folder / "logs" / "ca.pem")
        config: dict[str, Any] = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._plane.address,
            "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": authority}},
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{self._socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._machine.cgroup}",
            "clusterDNS": [self._plane.address],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolve),
            "failSwapOn": False,
            "evictionHard": {"memory.available": "20Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "localStorageCapacityIsolation": True,
            "registerWithTaints": [],
            "readOnlyPort": 0,
            "healthzPort": 0,
            "syncFrequency": "10s",
            "volumeStatsAggPeriod": "0s",
        }
        file = self._folder / "kubelet.yaml"
        file.write_text(yaml.safe_dump(config))
        path = f"{FOLDER}:/usr/sbin:/usr/bin:/sbin:/bin"
        self._plane.servers.start(
            FOLDER / "kubelet", f"--config={file}", f"--kubeconfig={self._plane.kubeconfig('kubelet')}",
            f"--root-dir={self._folder / 'kubelet'}", f"--cert-dir={self._folder / 'kubelet-pki'}",
            f"--hostname-override={NAME}", f"--node-ip={self._plane.address}",
            environ={"PATH": path},
        )  # fmt: skip

    def _is_ready(self) -> bool:
        for item in self._plane.get("nodes")["items"]:
            conditions = {one["type"]: one["status"] for one in item["status"].get("conditions", ())}
            return conditions.get("Ready") == "True"
        return False

    def _has_containers(self) -> bool:
        try:
            self._ctr("version")
        except Failed:
            return False
        return True

    @property
    def _socket(self) -> str:
        return "/run/containerd/containerd.sock"

    def _ctr(self, *words: str) -> str:
        return self._run(str(FOLDER / "ctr"), "--address", self._socket, "--namespace", "k8s.io", *words)

    def _run(self, *words: str) -> str:
        return self._plane.run(words)


def _podman(*words: str) -> None:
    subprocess.run(("podman", *words), check=True, capture_output=True, timeout=300)


class _Cloud:
    """Gives Services of type LoadBalancer an address, as clouds do; nothing is balanced outside the node."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._free: Iterable[int] = iter(range(1, 250))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _watch(self) -> None:
        while not self._ended.wait(2):
            try:
                for service in self._plane.get("services", "-A")["items"]:
                    waits = service["spec"]["type"] == "LoadBalancer" and not service["status"]["loadBalancer"]
                    if waits:
                        self._give(service["metadata"])
            except Failed:
                continue  # the API server ends before this does

    def _give(self, service: Mapping[str, Any]) -> None:
        number = next(iter(self._free))
        status = {"status": {"loadBalancer": {"ingress": [{"ip": f"{BALANCED}.{number}"}]}}}
        patch = ("patch", "service", service["name"], "--subresource=status", "--type=merge", "-p", json.dumps(status))
        self._plane.kubectl(*patch, namespace=service["namespace"])
