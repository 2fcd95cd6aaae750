"""Which steps a reconcile has, in their order. A further list adds its module and a line here."""

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.sync.api_keys import ApiKeyStep
from gatewright.controlplane.sync.contract import Step
from gatewright.controlplane.sync.deployments import DeploymentStep
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.deployment.ids import Clock


def steps(tools: Tools, config: LinkConfig, clock: Clock) -> tuple[Step, ...]:
    """All steps. Keys come after the artifacts that they belong to."""
    shrinkage = Shrinkage(config.deletion_share, config.deletion_minimum)
    return (DeploymentStep(tools, config, shrinkage, clock), ApiKeyStep(tools, config, shrinkage))
