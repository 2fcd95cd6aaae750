"""The start configuration: what it says, and that Envoy accepts it."""

import json
import subprocess
from pathlib import Path

from xds_rig import envoy_path

from gatewright.envoy.policies import ENGINE_CLUSTER
from gatewright.router.bootstrap import Bootstrap, configuration, write


def made(tmp_path: Path, **more: object) -> Bootstrap:
    return Bootstrap(node_id="router-node-1", xds_socket=tmp_path / "x.sock", admin_socket=tmp_path / "a.sock", **more)  # type: ignore[arg-type]


def test_envoy_accepts_every_form(tmp_path: Path) -> None:
    forms = [made(tmp_path), made(tmp_path, admin_tcp=("127.0.0.1", 9901), engine_socket=tmp_path / "e.sock")]
    for form in forms:
        file = tmp_path / "envoy.json"
        write(form, file)
        done = subprocess.run(
            [envoy_path(), "--mode", "validate", "-c", str(file), "--disable-hot-restart"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    write(made(tmp_path), tmp_path / "envoy.json")

    assert (tmp_path / "envoy.json").stat().st_mode & 0o777 == 0o600


def test_it_names_the_router_like_the_original_and_waits_for_its_configuration(tmp_path: Path) -> None:
    document = configuration(made(tmp_path))

    assert document["node"] == {"id": "router-node-1", "cluster": "gateway-cluster"}
    assert document["dynamic_resources"]["ads_config"]["api_type"] == "DELTA_GRPC"
    assert document["dynamic_resources"]["lds_config"]["initial_fetch_timeout"] == "0s"
    assert document["layered_runtime"]["layers"][0]["static_layer"]["re2.max_program_size.error_level"] == 400


def test_the_admin_interface_is_a_private_socket_unless_asked_otherwise(tmp_path: Path) -> None:
    private = configuration(made(tmp_path))["admin"]["address"]
    open_ = configuration(made(tmp_path, admin_tcp=("127.0.0.1", 9901)))["admin"]["address"]

    assert private == {"pipe": {"path": str(tmp_path / "a.sock"), "mode": 0o600}}
    assert open_ == {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}


def test_the_engine_is_a_cluster_only_when_there_is_one(tmp_path: Path) -> None:
    without = json.dumps(configuration(made(tmp_path)))
    with_engine = json.dumps(configuration(made(tmp_path, engine_socket=tmp_path / "e.sock")))

    assert ENGINE_CLUSTER not in without
    assert ENGINE_CLUSTER in with_engine
