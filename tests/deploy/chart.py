"""The Helm chart under test: renders values with a real helm and gives the manifests as data."""

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "deploy" / "helm" / "gateway"
CASES = Path(__file__).parent / "cases"
KUBERNETES = "1.31"
RELEASE = "ap-gateway"
NAMESPACE = "ap-gateway"
CERT_MANAGER = "cert-manager.io/v1"


class Refused(Exception):
    """helm does not render; the text is what it says."""


@dataclass(frozen=True)
class Manifests:
    """What came out."""

    text: str

    @property
    def all(self) -> list[dict[str, Any]]:
        return [document for document in yaml.safe_load_all(self.text) if document]

    def kinds(self) -> list[str]:
        return sorted(f"{item['kind']}/{item['metadata']['name']}" for item in self.all)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """One manifest, by kind and the end of its name."""
        found = [item for item in self.all if item["kind"] == kind and item["metadata"]["name"].endswith(name)]
        assert len(found) == 1, f"{kind} {name}: {[item['metadata']['name'] for item in found]}"
        return found[0]

    def pod(self, component: str) -> dict[str, Any]:
        """The Pod's spec of a Deployment."""
        spec: dict[str, Any] = self.get("Deployment", f"-{component}")["spec"]["template"]["spec"]
        return spec

    def container(self, component: str, position: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = self.pod(component)["containers"][position]
        return found

    def config(self, key: str = "config.toml") -> str:
        text: str = self.get("ConfigMap", "-config")["data"][key]
        return text


@dataclass(frozen=True)
class Chart:
    """The chart, and the helm that renders it."""

    helm: str
    _rendered: dict[str, str] = field(default_factory=dict)
    """What was rendered already: many tests look at the same."""

    def render(
        self,
        *values: Mapping[str, Any] | Path,
        sets: tuple[str, ...] = (),
        release: str = RELEASE,
        apis: tuple[str, ...] = (),
    ) -> Manifests:
        """Later values win. Raises Refused."""
        options = [f"--set={item}" for item in sets] + [f"--api-versions={api}" for api in apis]
        with tempfile.TemporaryDirectory() as folder:
            for number, item in enumerate(values):
                file = item if isinstance(item, Path) else Path(folder) / f"{number}.yaml"
                if not isinstance(item, Path):
                    file.write_text(yaml.safe_dump(dict(item)))
                options += ["--values", str(file)]
            key = " ".join(
                [release, *(option if not Path(option).exists() else Path(option).read_text() for option in options)]
            )
            if key not in self._rendered:
                where = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES)
                self._rendered[key] = self.run("template", release, str(CHART), *where, *options)
            return Manifests(self._rendered[key])

    def run(self, *arguments: str) -> str:
        """Any command of helm. Raises Refused."""
        done = subprocess.run([self.helm, *arguments], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout


def case(name: str) -> Path:
    """The values of a case."""
    return CASES / name / "values.yaml"


def nested(path: str, value: object) -> dict[str, Any]:
    """`a.b.c` and a value as values."""
    for part in reversed(path.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value
