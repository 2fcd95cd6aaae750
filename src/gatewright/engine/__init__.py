"""Runs the Python behaviour of policies for routes that Envoy cannot serve with its own filters alone.

A gRPC server (Envoy external processing) on a local socket beside the router. A call carries the chain of its route,
so the engine holds no routes; what it holds are credentials, which the router's snapshot feeds. May touch its
socket, nothing else.
"""
