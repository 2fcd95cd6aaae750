"""Envoy as a child process: finding the binary, its bootstrap, supervision, readiness, draining.

May touch the child process, files in its run directory, and Envoy's admin socket. Knows nothing about APIs.
"""
