"""Taking API Manager's version of an API, when the settings say that it wins a conflict."""

from typing import Final

from gatewright.controlplane.apim import evidence
from gatewright.controlplane.apim.kept import restored
from gatewright.controlplane.apim.publisher import CallFailed, Publisher
from gatewright.controlplane.echoes import deployment_id
from gatewright.controlplane.handlers.documents import Unusable, read_document
from gatewright.controlplane.rest import CallFailed as FetchFailed
from gatewright.controlplane.rest import Rest
from gatewright.deployment import Deployments
from gatewright.deployment.results import Applied
from gatewright.wire.kinds import ArtifactKind

_ADVICE: Final = "deploy it to this gateway at API Manager, then its version comes here"


class Theirs:
    """Reads the definition that API Manager has for this gateway and stores it over our own."""

    def __init__(self, deployments: Deployments, rest: Rest, publisher: Publisher, environment: str) -> None:
        self._deployments = deployments
        self._rest = rest
        self._publisher = publisher
        self._environment = environment
        self.gateway_id = ""
        """The id under which API Manager knows this gateway, while there is a connection."""

    async def take(self, local_id: str, api_id: str, ours: str) -> str:
        """Why it is impossible, empty when it is done. From then on the API belongs to API Manager.

        `ours`: the revision that the last sync made; it is what we have already, not theirs.
        """
        # From now on an event about their API is about ours: whenever it is deployed to this gateway, it comes here.
        await self._deployments.apim.link(local_id, api_id)
        revisions = await self._publisher.revisions(api_id)
        if isinstance(revisions, CallFailed):
            return revisions.message
        revision = evidence.deployed_at(revisions, self._environment)
        if revision and revision == ours:
            return f"what was edited is not deployed yet: {_ADVICE}"
        if not revision:
            return f"no revision of it is deployed to {self._environment}: {_ADVICE}"
        definition = await self._rest.definition(ArtifactKind.REST_API, api_id)
        if isinstance(definition, FetchFailed):
            return f"{definition}: {_ADVICE}" if definition.status == 404 else str(definition)
        try:
            document = await read_document(definition, ArtifactKind.REST_API)
        except Unusable as problem:
            return str(problem)
        row = await self._deployments.get_by_id(local_id)
        if row is not None:
            document = restored(document, row.document)
        applied = await self._deployments.apply_deploy(
            api_id,
            document,
            deployment_id=deployment_id(api_id, self.gateway_id, revision),
            performed_at=None,
            correlation_id="",
        )
        return (
            "" if isinstance(applied, Applied) else f"it cannot be stored here: {getattr(applied, 'message', applied)}"
        )
