"""Finds what `scripts/install-kubernetes-tools.sh` installs."""

import os
import shutil
from pathlib import Path

FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gatewright" / "kubernetes"
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = ("kube-scheduler", "kubelet", "kube-proxy", "coredns", "pause", "containerd", "ctr", "cni/ptp")


def missing(names: tuple[str, ...]) -> list[str]:
    """Those that are not there."""
    return [name for name in names if not (FOLDER / name).exists()]


def version() -> str:
    """Of Kubernetes, such as 1.34.4."""
    return (FOLDER / "VERSION").read_text().split()[0]


def folder_of(name: str) -> str:
    """Where a program of the system is, for a PATH. Raises AssertionError."""
    found = shutil.which(name)
    assert found is not None, name
    return str(Path(found).parent)
