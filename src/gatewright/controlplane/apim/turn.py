"""One turn of one API: it is imported, or taken away. Source: API Manager reference, 7.3."""

from gatewright.controlplane.apim import evidence
from gatewright.controlplane.apim.archive import Export, Unexportable, export
from gatewright.controlplane.apim.importing import Import
from gatewright.controlplane.apim.outcome import Outcome
from gatewright.controlplane.apim.publisher import CallFailed
from gatewright.controlplane.apim.tools import Item, Tools, attempted, failed
from gatewright.observability.logging import get_logger
from gatewright.store.apim_records import ApimRecord
from gatewright.store.rows import ArtifactRow

_log = get_logger(__name__)


class Turns:
    """Runs turns; keeps nothing between them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def run(self, item: Item) -> Outcome:
        """Do what the item asks for. The caller writes failures down; everything else is written here."""
        record = await self._tools.records.begin(item.uuid, item.name, item.version, self._tools.owner)
        if record is None:
            return Outcome(kind="busy", message="another process syncs this API")
        if item.state != "deployed":
            return await self._depart(item, record)
        made = self.export(item.artifact)
        if isinstance(made, Unexportable):
            _log.error("Bottom-up sync: failed to export API as zip", uuid=item.uuid, error=made.reason)
            return Outcome(kind="failed", message=made.reason, hopeless=True)
        for warning in made.warnings:
            _log.warning("Bottom-up sync: something stays behind", uuid=item.uuid, what=warning)
        if not self._tools.config.gateway_name:
            words = "controller.controlplane.gateway_name is not set: API Manager must know the gateway's environment"
            return Outcome(kind="failed", message=words)
        return await Import(self._tools, item, record, made).run()

    def export(self, artifact: ArtifactRow | None) -> Export | Unexportable:
        """What would be sent."""
        if artifact is None:
            return Unexportable("the artifact is gone")
        return export(artifact, gateway_name=self._tools.config.gateway_name, environment=self._tools.environment)

    # -- taking away ---------------------------------------------------------------------------------------------------

    async def _depart(self, item: Item, record: ApimRecord) -> Outcome:
        """Undeploy what of this API is deployed at API Manager for this gateway; the API itself stays there."""
        if record.api_id is None and record.begun is None:
            _log.info("Bottom-up sync: API was never synced to APIM, skipping undeploy", uuid=item.uuid)
            await self._tools.records.undeployed(item.uuid, item.queued.id, gone=item.state == "deleted")
            return Outcome(kind="nothing")
        attempt = 0
        while True:
            attempt += 1
            failure = await self._undeploy(item, record)
            if failure is None:
                await self._tools.records.undeployed(item.uuid, item.queued.id, gone=item.state == "deleted")
                _log.info("Bottom-up sync: API undeployed successfully", uuid=item.uuid, api_id=record.api_id)
                return Outcome(kind="undeployed")
            attempted("undeploy attempt failed", item, attempt, failure)
            if not await self._tools.pause(attempt, failure):
                break
        _log.error("Bottom-up sync: undeploy all retries exhausted", uuid=item.uuid, error=failure.message)
        return failed(failure)

    async def _undeploy(self, item: Item, record: ApimRecord) -> CallFailed | None:
        tools, api_id, revision = self._tools, record.api_id, record.revision
        if record.begun is not None or (revision is None and record.content is not None):
            # An import may have arrived whose answer was lost: what is deployed counts, not what is recorded.
            found = await self._arrived(item, api_id)
            if isinstance(found, CallFailed):
                return found
            if found is not None:
                api_id, revision = found
        if api_id is None or revision is None:
            return None
        return await tools.publisher.undeploy(api_id, revision, tools.config.gateway_name)

    async def _arrived(self, item: Item, api_id: str | None) -> tuple[str, str] | CallFailed | None:
        """API and revision that are deployed there for this very artifact, and for no later one of its name."""
        tools = self._tools
        there = await tools.look(item.name, item.version, api_id)
        if there is None or isinstance(there, CallFailed):
            return there
        if (there.gateway, there.local_id) != (tools.config.gateway_name, item.marked):
            return None
        found = await tools.publisher.revisions(there.id)
        if isinstance(found, CallFailed):
            return found
        revision = evidence.deployed_at(found, tools.config.gateway_name)
        return (there.id, revision) if revision else None
