"""Which handler takes which event type. A further family adds its module and a line here."""

from collections.abc import Mapping

from gatewright.controlplane.handlers import api_keys
from gatewright.controlplane.handlers.contract import Handler, Tools
from gatewright.controlplane.handlers.lifecycle import Lifecycle
from gatewright.controlplane.handlers.rest_api import rest_api
from gatewright.wire.kinds import ArtifactKind

_OTHER_KINDS = (ArtifactKind.LLM_PROVIDER, ArtifactKind.LLM_PROXY, ArtifactKind.MCP)
"""Kinds that the write path may not know yet: then a deployment is answered `failed` instead of never."""


def handlers(tools: Tools) -> Mapping[str, Handler]:
    """Handler by event type."""
    table: dict[str, Handler] = {}
    for lifecycle in (rest_api(tools), *(Lifecycle(kind, tools) for kind in _OTHER_KINDS)):
        table.update(dict.fromkeys(lifecycle.types(), lifecycle))
    table.update(dict.fromkeys(api_keys.TYPES, api_keys.ApiKeys(tools)))
    return table
