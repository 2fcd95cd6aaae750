"""Ports on loopback: given ones are checked, the others are chosen."""

import random
import socket
from typing import Final

import msgspec

HOST: Final = "127.0.0.1"
_LOW, _HIGH = 20_000, 32_000
"""Below the range from which systems take ports of outgoing connections."""
_ATTEMPTS: Final = 200


class PortTaken(Exception):
    """A port that was asked for is in use, or no port is free. The text says what to do."""


class GatewayPorts(msgspec.Struct, frozen=True, kw_only=True):
    """Ports of one gateway."""

    http: int
    https: int
    management: int
    admin: int
    xds: int
    router_admin: int


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Ports of everything that listens. 0 stands for "choose one". `site_…`: the gateway of the API Manager."""

    http: int = 0
    https: int = 0
    management: int = 0
    admin: int = 0
    xds: int = 0
    router_admin: int = 0
    hub: int = 0
    backend: int = 0
    api_manager: int = 0
    site_http: int = 0
    site_https: int = 0
    site_management: int = 0
    site_admin: int = 0
    site_xds: int = 0
    site_router_admin: int = 0

    @property
    def gateway(self) -> GatewayPorts:
        """The gateway that belongs to the hub."""
        return GatewayPorts(**{name: getattr(self, name) for name in GatewayPorts.__struct_fields__})

    @property
    def site(self) -> GatewayPorts:
        """The gateway that belongs to the API Manager."""
        return GatewayPorts(**{name: getattr(self, f"site_{name}") for name in GatewayPorts.__struct_fields__})


def settled(wanted: Ports) -> Ports:
    """The same with every port decided. Raises PortTaken."""
    given = {name: port for name, port in msgspec.structs.asdict(wanted).items() if port}
    for name, port in given.items():
        if list(given.values()).count(port) > 1:
            raise PortTaken(f"port {port} was given twice. Give every listener a port of its own")
        if not is_free(port):
            option = f"--{name.replace('_', '-')}-port"
            raise PortTaken(f"port {port} ({option}) is in use. Stop what listens there, or leave {option} out")
    chosen = dict(given)
    for name in wanted.__struct_fields__:
        if name not in chosen:
            chosen[name] = _free_port(set(chosen.values()))
    return Ports(**chosen)


def is_free(port: int) -> bool:
    """Whether a server could listen on `port`, on loopback and on all addresses."""
    return all(_can_bind(host, port) for host in (HOST, ""))


def _can_bind(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _free_port(taken: set[int]) -> int:
    for _ in range(_ATTEMPTS):
        port = random.randint(_LOW, _HIGH)  # noqa: S311 - no secret, only a place where nobody listens
        if port not in taken and is_free(port):
            return port
    raise PortTaken(f"no free port between {_LOW} and {_HIGH}. Give ports with --http-port, --hub-port and so on")
