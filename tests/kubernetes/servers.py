"""A real API server of Kubernetes with etcd and the controllers of Deployments, Services and namespaces behind it."""

import json
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy_certificates import Authority
from kubernetes_machine import Machine, Servers
from kubernetes_programs import FOLDER

PATIENCE_S = 120.0
SERVICES = "10.96.0"
"""Network of the Services, /24."""
USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", "system:node-proxier"),
    "kubelet": ("system:node:node", "system:nodes"),
    "dns": ("system:masters", "system:masters"),
}


class Failed(Exception):
    """A command has ended with an error; the text is what it printed."""


class ControlPlane:
    """Started and ended with `with`: on loopback, or in a machine."""

    def __init__(self, folder: Path, machine: Machine | None = None) -> None:
        self.folder = folder
        self.machine = machine
        self.address = "127.0.0.1" if machine is None else "10.77.0.1"
        self.servers = Servers(folder / "logs", machine)
        self.authority = Authority("kubernetes")
        self._tokens = {name: secrets.token_hex(16) for name in USERS}
        self._port = _free_port() if machine is None else 6443

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.servers.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.servers.stop()

    def _start(self) -> None:
        self._files()
        client, peer = (2379, 2380) if self.machine is not None else (_free_port(), _free_port())
        store, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self.servers.start(
            FOLDER / "etcd", "--data-dir", "etcd", "--unsafe-no-fsync", "--listen-client-urls", store,
            "--advertise-client-urls", store, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
            "--initial-cluster", f"default={peers}",
        )  # fmt: skip
        alone = ("--endpoint-reconciler-type=none",) if self.machine is None else ()
        self.servers.start(
            FOLDER / "kube-apiserver", f"--etcd-servers={store}", f"--bind-address={self.address}",
            f"--secure-port={self._port}", f"--advertise-address={self.address}", *alone,
            "--tls-cert-file=api.pem", "--tls-private-key-file=api.key", "--client-ca-file=ca.pem",
            "--kubelet-client-certificate=kubelet-client.pem", "--kubelet-client-key=kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP", "--token-auth-file=tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=accounts.key",
            "--service-account-signing-key-file=accounts.key", f"--service-cluster-ip-range={SERVICES}.0/24",
            "--authorization-mode=Node,RBAC", "--allow-privileged=false",
        )  # fmt: skip
        self.until(self._ready, "the API server answers")
        self.servers.start(
            FOLDER / "kube-controller-manager", "--kubeconfig=controller-manager.yaml", "--leader-elect=false",
            "--root-ca-file=ca.pem", "--service-account-private-key-file=accounts.key", "--secure-port=0",
            "--use-service-account-credentials=true",
            # A rollout in a test has few Pods: do not wait for a batch of changes.
            "--concurrent-deployment-syncs=2",
        )  # fmt: skip
        self.until(lambda: self._has("serviceaccount", "default", "default"), "the controllers run")

    def kubeconfig(self, user: str = "admin") -> Path:
        """The file for one of USERS."""
        return self.folder / "logs" / f"{user}.yaml"

    def kubectl(self, *words: str, document: Any = None, namespace: str = "") -> str:
        """What it prints. `document` goes to its standard input, as `-f -`. Raises Failed."""
        options = ["--kubeconfig", str(self.kubeconfig()), *(("-n", namespace) if namespace else ())]
        return self.run([str(FOLDER / "kubectl"), *options, *words], document)

    def get(self, *words: str, namespace: str = "") -> Any:
        """The same, as data."""
        return json.loads(self.kubectl("get", *words, "-o", "json", namespace=namespace))

    def run(self, words: Sequence[str], document: Any = None) -> str:
        """A command where the API server can be reached. Raises Failed."""
        line = list(words) if self.machine is None else self.machine.command(*words)
        text = document if isinstance(document, str | None) else json.dumps(document)
        done = subprocess.run(line, input=text, capture_output=True, text=True, check=False, timeout=400)
        if done.returncode:
            raise Failed(done.stderr + done.stdout)
        return done.stdout + done.stderr

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait; while waiting, no server may end."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := holds()):
            self.servers.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain: {what}")
            time.sleep(0.2)
        return value

    def _ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz").strip() == "ok"
        except Failed:
            return False

    def _has(self, kind: str, name: str, namespace: str) -> bool:
        try:
            self.kubectl("get", kind, name, namespace=namespace)
        except Failed:
            return False
        return True

    def _files(self) -> None:
        """Certificates, keys, tokens, and a kubeconfig for each user."""
        folder = self.folder / "logs"
        (folder / "ca.pem").write_text(self.authority.pem)
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", f"{SERVICES}.1", self.address)
        client = self.authority.issue("api-server", organisation="system:masters")
        for name, pair in (("api", self.authority.issue(*names)), ("kubelet-client", client)):
            (folder / f"{name}.pem").write_text(pair[0])
            (folder / f"{name}.key").write_text(pair[1])
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        (folder / "accounts.key").write_bytes(key)
        rows = [f'{self._tokens[name]},{user},{name},"{group}"\n' for name, (user, group) in USERS.items()]
        (folder / "tokens.csv").write_text("".join(rows))
        for name, token in self._tokens.items():
            cluster = {
                "server": f"https://{self.address}:{self._port}",
                "certificate-authority": str(folder / "ca.pem"),
            }
            content = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
                "current-context": "test",
            }
            self.kubeconfig(name).write_text(yaml.safe_dump(content))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
