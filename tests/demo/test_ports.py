"""Ports: given ones are checked, others chosen, all different."""

import socket

import msgspec
import pytest

from gatewright.demo.ports import Ports, PortTaken, settled


def test_chosen_ports_are_free_and_different() -> None:
    ports = list(msgspec.structs.asdict(settled(Ports())).values())
    assert len(set(ports)) == len(ports)
    assert all(1024 < port < 32768 for port in ports)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_given_port_in_use_is_told_with_its_option(host: str) -> None:
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} \(--hub-port\) is in use\. Stop .* or leave --hub-port out"):
            settled(Ports(hub=port))


def test_a_port_given_twice() -> None:
    free = settled(Ports()).hub
    with pytest.raises(PortTaken, match="given twice"):
        settled(Ports(hub=free, http=free))


def test_a_given_port_is_kept() -> None:
    free = settled(Ports()).hub
    assert settled(Ports(hub=free)).hub == free
