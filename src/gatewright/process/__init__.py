"""Puts rooms together into processes: the controller, the router, both in one.

The only place that knows how rooms are constructed from settings, in which order they start and stop, and what a
process tells on its way. No behaviour of its own.
"""

import os

# Before gRPC is loaded anywhere: it would otherwise write past our log whenever Envoy is started.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from gatewright.process.run import controller, router, up

__all__ = ["controller", "router", "up"]
