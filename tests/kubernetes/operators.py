"""What clusters have besides Kubernetes, as far as the chart uses it: kinds of others, and who answers to them."""

import contextlib
import threading
from typing import Any, Self

from envoy_certificates import Authority
from kubernetes_servers import ControlPlane, Failed

KINDS = (
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", "Namespaced"),
    ("cert-manager.io", "v1", "Certificate", "certificates", "Namespaced"),
    ("cert-manager.io", "v1", "Issuer", "issuers", "Namespaced"),
    ("cert-manager.io", "v1", "ClusterIssuer", "clusterissuers", "Cluster"),
)


def register(plane: ControlPlane) -> None:
    """The kinds of cert-manager and of the Prometheus operator, with no more schema than the API server demands."""
    for group, version, kind, plural, scope in KINDS:
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        served: dict[str, Any] = {"name": version, "served": True, "storage": True, "schema": schema}
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": scope,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [served],
            },
        }
        plane.kubectl("apply", "-f", "-", document=definition)
        plane.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=60s")


class Certificates:
    """Makes the Secrets that Certificates ask for, as cert-manager does; one authority stands for all issuers."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._authority = Authority()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._made: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._ended.wait(2):
            with contextlib.suppress(Failed):  # tried again at the next look
                for item in self._plane.get("certificates", "-A")["items"]:
                    self._issue(item["metadata"]["namespace"], item["spec"])

    def _issue(self, namespace: str, spec: dict[str, Any]) -> None:
        name = spec["secretName"]
        if (namespace, name) in self._made:
            return
        certificate, key = self._authority.issue(*(spec.get("dnsNames") or [spec["commonName"]]))
        content = {"tls.crt": certificate, "tls.key": key, "ca.crt": self._authority.pem}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": content,
        }
        self._plane.kubectl("apply", "-f", "-", document=secret)
        self._made.add((namespace, name))
