"""`api.deployed`, `api.undeployed`, `api.deleted`."""

from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.handlers.lifecycle import Lifecycle
from gatewright.wire.kinds import ArtifactKind


def rest_api(tools: Tools) -> Lifecycle:
    """The handler of REST APIs."""
    return Lifecycle(ArtifactKind.REST_API, tools)
