"""The pages about installing: values render, commands are those that exist, names are those of the chart."""

import itertools
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gatewright.settings import check

ROOT = Path(__file__).parents[2]
KUBERNETES = (ROOT / "docs" / "install-kubernetes.md").read_text()
CONTAINERS = (ROOT / "docs" / "install-containers.md").read_text()
CACHED_HELM = Path.home() / ".cache" / "gatewright" / "bin" / "helm"
HELM = shutil.which("helm") or (str(CACHED_HELM) if CACHED_HELM.exists() else None)
_FENCE = re.compile(r"^```(\w+)(?: +(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files(page: str) -> dict[str, str]:
    """Named blocks."""
    return {word: content for language, word, content in _FENCE.findall(page) if language in {"yaml", "toml"}}


def commands(page: str, program: str) -> Iterator[list[str]]:
    """Words of the commands that begin with `program`, up to a pipe or a redirection."""
    for language, _, content in _FENCE.findall(page):
        if language == "sh":
            for line in content.replace("\\\n", " ").splitlines():
                if line.startswith(f"{program} "):
                    yield list(itertools.takewhile(lambda word: word not in {"|", "<", ">"}, shlex.split(line)))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each helm command of the page gives, as the page's own files are its values."""
    if HELM is None:
        pytest.skip("helm is not installed: scripts/install-tools.sh installs it, with Go")
    folder = tmp_path_factory.mktemp("page")
    (folder / "deploy").symlink_to(ROOT / "deploy")
    for name, content in files(KUBERNETES).items():
        (folder / name).write_text(content)
    found = []
    for _, *words in commands(KUBERNETES, "helm"):
        if words[0] == "uninstall":
            continue
        options = [word for word in words if word not in {"upgrade", "--install", "--wait", "--dry-run=server"}]
        line = [HELM, "template", *options, "--kube-version", "1.31", "--api-versions", "cert-manager.io/v1"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    return found


def test_every_helm_command_renders(rendered: list[str]) -> None:
    assert len(rendered) == 3


def test_the_authority_goes_with_the_values() -> None:
    if HELM is None:
        pytest.skip("helm is not installed")
    values = [yaml.safe_load(files(KUBERNETES)[name]) for name in ("values.yaml", "authority.yaml")]
    assert all(set(value) == {"gateway"} for value in values)


def test_kubectl_names_what_the_chart_makes_or_asks_for(rendered: list[str]) -> None:
    """Deployments that are looked at exist; Secrets that are made are the ones that Pods refer to."""
    everything = "\n".join(rendered)
    manifests = [item for item in yaml.safe_load_all("\n---\n".join(rendered)) if item]
    deployments = {item["metadata"]["name"] for item in manifests if item["kind"] == "Deployment"}
    seen = 0
    for words in commands(KUBERNETES, "kubectl"):
        for word in words:
            if word.startswith("deploy/"):
                assert word.removeprefix("deploy/") in deployments
                seen += 1
        if words[3:6] == ["create", "secret", "generic"]:
            assert re.search(rf"\b(name|secretName): {words[6]}\b", everything), words[6]
            seen += 1
    assert seen >= 5


@pytest.mark.parametrize("page", [KUBERNETES, CONTAINERS], ids=["kubernetes", "containers"])
def test_images_are_built_from_what_is_there(page: str) -> None:
    targets = set()
    for words in commands(page, "docker"):
        if words[1] == "build":
            file = words[words.index("-f") + 1]
            target = words[words.index("--target") + 1]
            assert f" AS {target}\n" in (ROOT / file).read_text()
            targets.add(target)
    assert targets == {"controller", "router"}


def test_the_example_configuration_is_good(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(files(CONTAINERS)["config.toml"])
    report = check([file], {"APIP_GW_CONTROLLER_CONTROLPLANE_TOKEN": "t"})
    assert (report.problems, report.warnings) == ((), ())


def test_services_and_files_of_compose() -> None:
    folder = ROOT / "deploy" / "compose"
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    assert (folder / "example.env").exists()
    named = {words[words.index("-T") + 1] for words in commands(CONTAINERS, "docker") if "exec" in words}
    named |= {words[3] for words in commands(CONTAINERS, "docker") if words[1:3] == ["compose", "logs"]}
    assert named == {"hub", "gateway-controller"}
    assert named <= set(services)
