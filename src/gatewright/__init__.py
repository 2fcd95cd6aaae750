"""Gatewright: an API gateway that a control plane can manage, with Envoy as its data plane."""

__version__ = "0.1.0"
