"""Which steps a reconcile has, in their order. A further list adds its module and a line here."""

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.handlers.contract import Tools
from gatewright.controlplane.sync.api_keys import ApiKeyStep
from gatewright.controlplane.sync.contract import Step
from gatewright.controlplane.sync.deployments import DeploymentStep
from gatewright.controlplane.sync.plans import PlanStep
from gatewright.controlplane.sync.secrets import SecretStep
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.controlplane.sync.subscriptions import SubscriptionStep
from gatewright.deployment.ids import Clock


def steps(tools: Tools, config: LinkConfig, clock: Clock) -> tuple[Step, ...]:
    """All steps: secrets, artifacts, and then what belongs to artifacts."""
    shrinkage = Shrinkage(config.deletion_share, config.deletion_minimum)
    return (
        SecretStep(tools.secrets),
        DeploymentStep(tools, config, shrinkage, clock),
        PlanStep(tools, shrinkage, clock),
        SubscriptionStep(tools, shrinkage, clock),
        ApiKeyStep(tools, config, shrinkage),
    )
