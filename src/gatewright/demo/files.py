"""Configuration and documents that the demo writes. Pure text."""

import json
from pathlib import Path
from typing import Final

from gatewright.demo.ports import HOST, Ports

GATEWAY: Final = "demo"
USER: Final = "admin"
BOOKSHOP: Final = "bookshop-v1.0"
BOOKSHOP_CONTEXT: Final = "/bookshop"


def gateway_toml(ports: Ports, *, token: str, password: str, authority: Path, data_dir: Path) -> str:
    """Configuration of the gateway, with the keys of the original plus the table `gatewright`."""
    bind = "\n".join(
        f"{name} = {_text(HOST)}" for name in ("management", "admin", "metrics", "xds", "router", "router_admin")
    )
    return f"""\
# Written by `gatewright demo`. Run it again by hand: gatewright up --config gateway.toml

[controller.server]
api_port = {ports.management}
xds_port = {ports.xds}
shutdown_timeout = "2s"

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

[controller.controlplane]
host = {_text(f"{HOST}:{ports.hub}")}
token = {_text(token)}
reconnect_initial = "200ms"
reconnect_max = "2s"

[router]
listener_port = {ports.http}
https_port = {ports.https}

[policy_engine.admin]
port = {ports.router_admin}

[gatewright]
data_dir = {_text(data_dir)}

[gatewright.controlplane]
ca_file = {_text(authority)}

[gatewright.envoy]
concurrency = 1
drain_time_seconds = 1

[gatewright.bind]
{bind}
"""


def bookshop_yaml(ports: Ports, project_annotation: str) -> str:
    """The second API, made at the gateway; it names the project at the control plane that it belongs to."""
    return f"""\
apiVersion: gateway.api-platform.wso2.com/v1
kind: RestApi
metadata:
  name: {BOOKSHOP}
  annotations:
    {project_annotation}: default
spec:
  displayName: Bookshop
  version: v1.0
  context: {BOOKSHOP_CONTEXT}
  upstream:
    main:
      url: http://{HOST}:{ports.backend}
  operations:
    - method: GET
      path: /books
"""


def hub_curl(authority: Path, token: str) -> str:
    """Options for `curl -K`, so that the admin token stands in no command line: authority and token of the hub."""
    return f"""\
cacert = {_text(authority)}
header = {_text(f"Authorization: Bearer {token}")}
silent
show-error
write-out = "\\n"
"""


def gateway_curl(password: str) -> str:
    """The same for the gateway's management API."""
    return f"""\
user = {_text(f"{USER}:{password}")}
silent
show-error
"""


def _text(value: object) -> str:
    """A basic string of TOML; JSON's escapes are a subset of its own."""
    return json.dumps(str(value))
