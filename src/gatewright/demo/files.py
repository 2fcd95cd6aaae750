"""Configuration and documents that the demo writes. Pure text."""

import json
from pathlib import Path
from typing import Final

from gatewright.demo.ports import HOST, GatewayPorts, Ports

GATEWAY: Final = "demo"
SITE: Final = "demo-site"
"""The gateway that belongs to the API Manager, by the name under which it is registered there."""
USER: Final = "admin"
BOOKSHOP: Final = "bookshop-v1.0"
BOOKSHOP_CONTEXT: Final = "/bookshop"
LIBRARY: Final = "library-v1.0"
LIBRARY_CONTEXT: Final = "/library"


def gateway_toml(
    ports: GatewayPorts, *, name: str, password: str, authority: Path, data_dir: Path, hub: int = 0, token: str = ""
) -> str:
    """Configuration of a gateway, with the keys of the original plus the table `gatewright`.

    `hub`: port of the hub that it belongs to; 0: the environment says to whom it belongs. `authority`: of either.
    """
    bind = "\n".join(
        f"{name} = {_text(HOST)}" for name in ("management", "admin", "metrics", "xds", "router", "router_admin")
    )
    return f"""\
# Written by `gatewright demo`. Run it again by hand: gatewright up --config {name}.toml

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
{_belongs_to(hub, token)}reconnect_initial = "200ms"
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


def library_yaml(ports: Ports, *, edited: bool) -> str:
    """The API that is made at the gateway of the API Manager, and the same with one operation more."""
    more = "    - {method: GET, path: /pet/1}\n" if edited else ""
    return f"""\
apiVersion: gateway.api-platform.wso2.com/v1
kind: RestApi
metadata:
  name: {LIBRARY}
spec:
  displayName: Library
  version: v1.0
  context: {LIBRARY_CONTEXT}
  upstream:
    main:
      url: http://{HOST}:{ports.backend}
  operations:
    - {{method: GET, path: /books}}
{more}"""


def hub_curl(authority: Path, token: str) -> str:
    """Options for `curl -K`, so that a token stands in no command line: authority and token of hub or API Manager."""
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


def _belongs_to(hub: int, token: str) -> str:
    return f"host = {_text(f'{HOST}:{hub}')}\ntoken = {_text(token)}\n" if hub else ""


def _text(value: object) -> str:
    """A basic string of TOML; JSON's escapes are a subset of its own."""
    return json.dumps(str(value))
