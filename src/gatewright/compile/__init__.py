"""Artifacts → model: what a typed document means for traffic.

One module per kind of artifact. Pure functions of their arguments; may import `artifacts` and `model` only. Nothing
here knows Envoy's messages: `envoy/` turns the model into resources.
"""

from gatewright.compile.errors import CompileError
from gatewright.compile.restapi import compile_restapi

__all__ = ["CompileError", "compile_restapi"]
