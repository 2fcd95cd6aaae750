"""The configuration files of the gateways that are measured. Pure text."""

import json
from pathlib import Path

import msgspec

from bench.ports import HOST

USER = "admin"


class Link(msgspec.Struct, frozen=True):
    """Where the control plane of a gateway is. An API Manager wants the name of the gateway and a client too."""

    host: str
    token: str
    authority: Path
    name: str = ""
    client_id: str = ""
    client_secret: str = ""


class GatewayPorts(msgspec.Struct, frozen=True):
    """What a gateway listens on."""

    http: int
    management: int
    admin: int
    xds: int
    router_admin: int


def gateway_toml(
    ports: GatewayPorts, *, data_dir: Path, password: str, link: Link | None = None, controller_xds: int | None = None
) -> str:
    """One worker of Envoy, no access log, no HTTPS listener; everything else as it is by default.

    `controller_xds`: the port of the controller that a router of its own belongs to.
    """
    bind = "\n".join(
        f"{name} = {_text(HOST)}" for name in ("management", "admin", "metrics", "xds", "router", "router_admin")
    )
    return f"""\
[controller.server]
api_port = {ports.management}
xds_port = {ports.xds}
shutdown_timeout = "1s"

[controller.admin_server]
port = {ports.admin}

[controller.storage.sqlite]
path = {_text(data_dir / "gateway.db")}

[[controller.encryption.providers]]
type = "aesgcm"

[[controller.encryption.providers.keys]]
version = "aesgcm256-v1"
file = {_text(data_dir / "aesgcm-keys" / "default-aesgcm256-v1.bin")}

[[controller.auth.basic.users]]
username = {_text(USER)}
password = {_text(password)}
roles = ["admin"]

[controller.logging]
level = "warn"

[router]
listener_port = {ports.http}
https_enabled = false

[router.access_logs]
enabled = false

[policy_engine.admin]
port = {ports.router_admin}

[gatewright]
data_dir = {_text(data_dir)}

[gatewright.envoy]
concurrency = 1
drain_time_seconds = 1

[gatewright.bind]
{bind}
{_link(link)}{_remote(controller_xds)}"""


def _link(link: Link | None) -> str:
    if link is None:
        return ""
    return f"""
[controller.controlplane]
host = {_text(link.host)}
token = {_text(link.token)}
gateway_name = {_text(link.name)}
apim_oauth2_client_id = {_text(link.client_id)}
apim_oauth2_client_secret = {_text(link.client_secret)}
reconnect_initial = "200ms"
reconnect_max = "2s"

[gatewright.controlplane]
ca_file = {_text(link.authority)}
"""


def _remote(xds_port: int | None) -> str:
    if xds_port is None:
        return ""
    return f"""
[gatewright.remote_controller]
host = {_text(HOST)}
xds_port = {xds_port}
"""


def _text(value: object) -> str:
    """A basic string of TOML; JSON's escapes are a subset of its own."""
    return json.dumps(str(value))
