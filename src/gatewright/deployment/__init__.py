"""THE write path: artifacts and API keys are written here and nowhere else.

`Deployments` takes what the management API, the control plane and file loading want, applies the rules of identity,
conflict and staleness, and writes one transaction: the rows, an entry of the change feed and, where another system must
hear of it, an outbox row. `rollout.py` follows the change feed and carries the changes to the routers.
"""

from gatewright.deployment.deployments import Deployments
from gatewright.deployment.requests import ArtifactFilter, Caller, ExpiresIn, KeyEvent, KeyRequest

__all__ = ["ArtifactFilter", "Caller", "Deployments", "ExpiresIn", "KeyEvent", "KeyRequest"]
