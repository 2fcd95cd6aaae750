"""Which handler takes which event type. A further family adds its module and a line here."""

from collections.abc import Mapping

from gatewright.controlplane.handlers import api_keys, applications, plans, subscriptions
from gatewright.controlplane.handlers.contract import Handler, Tools
from gatewright.controlplane.handlers.lifecycle import Lifecycle
from gatewright.controlplane.handlers.rest_api import RestApis
from gatewright.wire.kinds import ArtifactKind

_OTHER_KINDS = (ArtifactKind.LLM_PROVIDER, ArtifactKind.LLM_PROXY, ArtifactKind.MCP)
"""Kinds that are handled as REST APIs are, with paths and names of their own."""


def handlers(tools: Tools) -> Mapping[str, Handler]:
    """Handler by event type."""
    table: dict[str, Handler] = {}
    for lifecycle in (RestApis(tools), *(Lifecycle(kind, tools) for kind in _OTHER_KINDS)):
        table.update(dict.fromkeys(lifecycle.types(), lifecycle))
    table.update(dict.fromkeys(api_keys.TYPES, api_keys.ApiKeys(tools)))
    table.update(dict.fromkeys(subscriptions.TYPES, subscriptions.SubscriptionEvents(tools)))
    table.update(dict.fromkeys(plans.TYPES, plans.Plans(tools)))
    table.update(dict.fromkeys(applications.TYPES, applications.Applications(tools)))
    return table
