"""Free ports on loopback, different for everything that one run starts."""

import random
import socket

HOST = "127.0.0.1"
CHOICE = range(20_000, 32_000)
"""Below the range from which systems take ports of outgoing connections, of which a benchmark makes many."""

_given: set[int] = set()


def free_port() -> int:
    """A port on which nobody listens and that was not given before. Raises OSError when there is none."""
    for port in random.sample(CHOICE, 500):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise OSError("no free port on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
