"""THE write path: artifacts, API keys, subscriptions, plans and applications are written here and nowhere else.

`Deployments` takes what the management API, the control plane and file loading want, applies the rules of identity,
conflict and staleness, and writes one transaction: the rows, an entry of the change feed and, where another system must
hear of it, an outbox row. `rollout.py` follows the change feed and carries the changes to the routers.
"""

from gatewright.deployment.deployments import Deployments
from gatewright.deployment.requests import ArtifactFilter, Caller, ExpiresIn, KeyEvent, KeyRequest
from gatewright.deployment.subscription_requests import ApplicationEvent, PlanEvent, SubscriptionEvent
from gatewright.deployment.subscriptions import Subscriptions

__all__ = [
    "ApplicationEvent",
    "ArtifactFilter",
    "Caller",
    "Deployments",
    "ExpiresIn",
    "KeyEvent",
    "KeyRequest",
    "PlanEvent",
    "SubscriptionEvent",
    "Subscriptions",
]
