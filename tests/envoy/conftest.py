"""Makes the harness importable by the tests here, and starts one backend per module."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def _importable(name: str, file: str) -> None:
    """Folders of tests are no packages and must not be on the import path: one is called `envoy`."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_importable("envoy_harness", "harness.py")
_importable("envoy_site", "site.py")
_importable("envoy_certificates", "certificates.py")

from envoy_harness import Backend  # noqa: E402 - needs the lines above
from envoy_site import Site  # noqa: E402


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    running = Backend()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def other_backend() -> Iterator[Backend]:
    running = Backend("other")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def start_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Starts sites with given settings; they end with the module."""
    started: list[Site] = []

    def start(**settings: Any) -> Site:
        started.append(Site(tmp_path_factory.mktemp("envoy"), **settings))
        return started[-1]

    yield start
    for site in started:
        site.stop()


@pytest.fixture(scope="module")
def site(start_site: Callable[..., Site]) -> Site:
    """A site with the default settings."""
    return start_site()
