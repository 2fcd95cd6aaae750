"""What the rows of the outbox ask for, read from the database when their turn comes."""

from gatewright.controlplane.apim.tools import Item
from gatewright.deployment import Deployments
from gatewright.deployment.apim_writes import left_behind
from gatewright.deployment.results import OUTBOX_DELETE, OUTBOX_LEFT, deleted_artifact
from gatewright.store.rows import OutboxRow


class Work:
    """Reads items."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments
        self._records = deployments.apim

    async def item(self, row_id: int) -> Item | None:
        """The item of a row; None when there is nothing to do for it, which then is written down."""
        row = await self._records.row(row_id)
        if row is None:
            return None
        if row.action in {OUTBOX_DELETE, OUTBOX_LEFT}:
            return departure(row)
        artifact = await self._deployments.get_by_id(row.entity_id)
        if artifact is None or artifact.origin != "gateway_api":
            await self._records.dismiss(row.id)
            return None
        name, version, uuid = artifact.display_name, artifact.version, artifact.uuid
        return Item(row, uuid, name, version, artifact.desired_state, uuid, artifact=artifact)


def departure(row: OutboxRow) -> Item:
    """The item of a row about what is gone here."""
    if row.action == OUTBOX_LEFT:
        left = left_behind(row)
        return Item(row, left.uuid, left.name, left.version, "deleted", str(row.payload.get("artifact") or ""))
    last = deleted_artifact(row)
    return Item(row, last.uuid, last.display_name, last.version, "deleted", last.uuid, artifact=last)
