"""Prints the bill of materials of the environment that runs it: CycloneDX 1.5, JSON.

Python packages as they are installed, with the hashes of the lock; Debian packages as dpkg knows them. Only the
standard library: it runs inside the image build.
"""

import argparse
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

DPKG = "var/lib/dpkg/status"
SYSTEM = "etc/os-release"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Bill of materials (CycloneDX) of this Python environment.")
    parser.add_argument("--lock", type=Path, required=True, help="requirements file with hashes")
    parser.add_argument("--name", required=True, help="name of the image")
    parser.add_argument("--root", type=Path, default=Path("/"), help="the system that goes with it")
    parser.add_argument("--without", action="append", default=[], help="package that the image does not hold")
    arguments = parser.parse_args()
    found = {_normalized(found.name): found for found in distributions()}
    own = found.pop("gatewright", None)
    hashes = locked_hashes(arguments.lock.read_text(encoding="utf-8"))
    left_out = {_normalized(name) for name in arguments.without}
    components = [
        *(python_component(found[name], hashes.get(name, ())) for name in sorted(found) if name not in left_out),
        interpreter(),
        *debian_components(arguments.root / DPKG, arguments.root / SYSTEM),
    ]
    version = own.version if own is not None else ""
    json.dump(document(arguments.name, version, components), sys.stdout, indent=1)


def document(name: str, version: str, components: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole document. No time and no random number in it: equal images have equal documents."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": name,
                "name": name,
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
    }


def locked_hashes(text: str) -> Mapping[str, tuple[str, ...]]:
    """Package name → SHA-256 of every file that the lock accepts."""
    hashes: dict[str, tuple[str, ...]] = {}
    for entry in text.replace("\\\n", " ").split("\n"):
        pinned = _PINNED.match(entry)
        if pinned is not None:
            hashes[_normalized(pinned[1])] = tuple(_HASH.findall(entry))
    return hashes


def python_component(found: Distribution, hashes: Iterable[str]) -> dict[str, Any]:
    """One installed package. The lock holds one hash for each file on the index; which was taken depends on the CPU."""
    purl = f"pkg:pypi/{_normalized(found.name)}@{found.version}"
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": found.name,
        "version": found.version,
        "purl": purl,
    }
    licence = found.metadata.get("License-Expression")
    if licence:
        component["licenses"] = [{"expression": licence}]
    accepted = [{"name": "gatewright:locked-sha256", "value": digest} for digest in hashes]
    if accepted:
        component["properties"] = accepted
    return component


def interpreter() -> dict[str, Any]:
    """Python itself; on bases that do not have it from a package, nothing else would name it."""
    version = platform.python_version()
    purl = f"pkg:generic/python@{version}"
    return {"type": "platform", "bom-ref": purl, "name": "python", "version": version, "purl": purl}


def debian_components(status: Path, system: Path) -> Iterator[dict[str, Any]]:
    """Installed packages of the base image; none where it is no Debian."""
    if not status.exists():
        return
    named = re.search(r'^VERSION_CODENAME="?([^"\n]+)', system.read_text(encoding="utf-8"), re.MULTILINE)
    release = f"&distro={named[1]}" if named else ""
    for paragraph in status.read_text(encoding="utf-8").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.+)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            version = fields["Version"].replace("+", "%2B").replace(":", "%3A")
            purl = f"pkg:deb/debian/{fields['Package']}@{version}?arch={fields['Architecture']}{release}"
            yield {
                "type": "library",
                "bom-ref": purl,
                "name": fields["Package"],
                "version": fields["Version"],
                "purl": purl,
            }


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
