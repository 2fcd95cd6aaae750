"""Puts rooms together into processes: the controller, the router, both in one.

The only place that knows how rooms are constructed from settings, in which order they start and stop, and what a
process tells on its way. No behaviour of its own.
"""

from gatewright.process.run import controller, router, up

__all__ = ["controller", "router", "up"]
