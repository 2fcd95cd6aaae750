"""What the demo writes is what the gateway reads."""

from pathlib import Path

import pytest
import yaml

from gatewright import settings
from gatewright.demo import files
from gatewright.demo.ports import Ports

PORTS = Ports(http=1, https=2, management=3, admin=4, xds=5, router_admin=6, hub=7, backend=8, site_http=9)


def test_the_configuration_is_good_and_listens_on_loopback_only(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    told = {"name": "gateway", "password": "p", "authority": tmp_path / "ca", "data_dir": tmp_path}
    path.write_text(files.gateway_toml(PORTS.gateway, hub=7, token="t'\"\\", **told))
    loaded = settings.load([path], {})
    assert loaded.warnings == ()
    tree = loaded.settings
    assert tree.controller.controlplane.token.get_secret_value() == "t'\"\\"
    assert not tree.controller.controlplane.insecure_skip_verify
    assert tree.gatewright.controlplane.ca_file == str(tmp_path / "ca")
    assert set(tree.gatewright.bind.model_dump().values()) == {"127.0.0.1"}
    ports = (tree.router.listener_port, tree.router.https_port, tree.controller.server.api_port)
    assert ports == (1, 2, 3)
    path.write_text(files.gateway_toml(PORTS.gateway, **told))
    loaded = settings.load([path], {"APIP_GW_CONTROLLER_CONTROLPLANE_HOST": "h:9443"})
    assert (loaded.settings.controller.controlplane.host, PORTS.site.http) == ("h:9443", 9)


def test_the_library_grows_by_an_edit() -> None:
    before, after = (yaml.safe_load(files.library_yaml(PORTS, edited=edited)) for edited in (False, True))
    assert len(after["spec"]["operations"]) == len(before["spec"]["operations"]) + 1
    assert {**after["spec"], "operations": []} == {**before["spec"], "operations": []}


def test_the_second_api_names_its_project() -> None:
    document = yaml.safe_load(files.bookshop_yaml(PORTS, "example.com/project"))
    assert document["metadata"]["annotations"] == {"example.com/project": "default"}
    assert document["spec"]["upstream"]["main"]["url"] == "http://127.0.0.1:8"


@pytest.mark.parametrize("secret", ['a"b', "a\\b"])
def test_secrets_in_options_for_curl_are_quoted(secret: str, tmp_path: Path) -> None:
    assert 'user = "admin:' in files.gateway_curl(secret)
    assert len(files.hub_curl(tmp_path, secret).split("\n")) == 6
