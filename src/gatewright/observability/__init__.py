"""Logging with redaction, and metrics.

The lowest room: every other room may import it, it imports none of them. Import the module that is needed
(`gatewright.observability.logging`, `.metrics`, `.redaction`); the package itself stays empty so that the command
line does not pay for what it does not use.
"""
