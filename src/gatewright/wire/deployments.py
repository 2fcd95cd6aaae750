"""Bodies about deployments: the list, the batch download's request, the existence check."""

from typing import Final

from gatewright.wire.codec import Sparse, Wire, decode
from gatewright.wire.failures import Undecodable
from gatewright.wire.times import Timestamp

STATE_DEPLOYED: Final = "DEPLOYED"
STATE_UNDEPLOYED: Final = "UNDEPLOYED"


class DeploymentRow(Wire, frozen=True, kw_only=True):
    """One artifact of the calling gateway. `state` is the desired one; see `desired_state`."""

    artifact_id: str = ""
    deployment_id: str = ""
    kind: str = ""
    state: str = ""
    deployed_at: Timestamp | None = None
    etag: str = ""


class DeploymentList(Wire, frozen=True, kw_only=True):
    """Answer of `GET /deployments`."""

    deployments: tuple[DeploymentRow, ...] = ()


class BatchRequest(Wire, frozen=True, kw_only=True):
    """Body of `POST /deployments/fetch-batch`."""

    deployment_ids: tuple[str, ...] = ()


class ExistenceRequest(Wire, frozen=True, kw_only=True):
    """Body of `POST /artifacts/exists`."""

    artifact_ids: tuple[str, ...] = ()


class Existence(Sparse, frozen=True, kw_only=True):
    """One answer; `exists` is written even when false because nothing else says so."""

    artifact_id: str
    exists: bool


class ExistenceAnswer(Wire, frozen=True, kw_only=True):
    """Answer of `POST /artifacts/exists`, in the order of the request."""

    artifacts: tuple[Existence, ...] = ()


def desired_state(row: DeploymentRow) -> bool | None:
    """True deployed, False undeployed, None when the state is neither; case does not count."""
    return {"deployed": True, "undeployed": False}.get(row.state.lower())


def decode_deployment_list(body: bytes) -> DeploymentList | Undecodable:
    """Read the answer of `GET /deployments`."""
    return decode(body, DeploymentList, "deployment list")


def decode_existing(body: bytes) -> frozenset[str] | Undecodable:
    """Ids that the control plane says exist; an id that is missing in the answer counts as not existing."""
    answer = decode(body, ExistenceAnswer, "existence check")
    if isinstance(answer, Undecodable):
        return answer
    return frozenset(entry.artifact_id for entry in answer.artifacts if entry.exists)
