"""The way of one API to API Manager: what is there, what is to be done, at most three attempts.

The order of writes makes a crash at any point harmless: the content is noted before it is sent, the ids as soon as they
are known, and the outbox row goes with the outcome. The next turn recognises an import whose answer was lost by the
marks that were put into it. Source: API Manager reference, 7.3.
"""

import asyncio

import msgspec

from gatewright.controlplane.apim import evidence
from gatewright.controlplane.apim.archive import Export, pack
from gatewright.controlplane.apim.evidence import Remote
from gatewright.controlplane.apim.outcome import Outcome
from gatewright.controlplane.apim.plan import Intent, Wanted, plan
from gatewright.controlplane.apim.publisher import CallFailed, Imported
from gatewright.controlplane.apim.tools import Item, Tools, attempted, failed
from gatewright.observability.logging import get_logger
from gatewright.store.apim_records import ApimRecord

_log = get_logger(__name__)


class Import:
    """One turn of one API that is to be deployed there."""

    def __init__(self, tools: Tools, item: Item, record: ApimRecord, made: Export) -> None:
        self._tools = tools
        self._item = item
        self._record = record
        self._made = made
        self._looked = False
        self._sent = False
        self._there: Remote | None = None
        self._swagger: bytes | None = None
        self._asked_for_swagger = False

    async def run(self) -> Outcome:
        """All attempts."""
        item, tools = self._item, self._tools
        attempt = 0
        while True:
            attempt += 1
            result = await self._attempt()
            if isinstance(result, Outcome):
                return result
            failure = result
            attempted("attempt failed", item, attempt, failure)
            if failure.status in {200, 201} or not await tools.pause(attempt, failure):
                break
            if failure.status is None and self._sent:
                # It may have arrived all the same: look before sending it again.
                self._looked = False
                self._record = msgspec.structs.replace(self._record, begun=self._made.content)
        _log.error(
            "Bottom-up sync: all retries exhausted", uuid=item.uuid, display_name=item.name, error=failure.message
        )
        return failed(failure)

    async def _attempt(self) -> Outcome | CallFailed:
        intent = await self._intent()
        if isinstance(intent, CallFailed):
            return intent
        match intent.action:
            case "stop":
                _log.error("Bottom-up sync: stopped at a conflict", uuid=self._item.uuid, why=intent.reason)
                return Outcome(kind="failed", message=intent.reason)
            case "take-theirs":
                return await self._take(intent)
            case "adopt":
                adopted = await self._adopt(intent)
                if adopted is not None:
                    return adopted
            case "overwrite":
                _log.warning("Bottom-up sync: a conflict is overwritten", uuid=self._item.uuid, why=intent.reason)
        return await self._send()

    async def _intent(self) -> Intent | CallFailed:
        tools, item, record = self._tools, self._item, self._record
        config = tools.config
        if not self._looked and (config.rule != "overwrite" or record.begun is not None):
            there = await tools.look(item.name, item.version, record.api_id)
            if isinstance(there, CallFailed):
                return there
            self._there = there
        self._looked = True
        wanted = Wanted(item.name, item.version, content=self._made.content)
        return plan(wanted, record, self._there, rule=config.rule, gateway_name=config.gateway_name)

    async def _adopt(self, intent: Intent) -> Outcome | CallFailed | None:
        """Record what is there already. None: no revision of it is deployed for this gateway, so it has to be sent."""
        record, tools = self._record, self._tools
        revision = record.revision if record.content == self._made.content else None
        if revision is None:
            found = await tools.publisher.revisions(intent.api_id)
            if isinstance(found, CallFailed):
                return found
            revision = evidence.deployed_at(found, tools.config.gateway_name) or None
            if revision is None or revision == record.revision:
                return None
        return await self._done(Imported(intent.api_id, revision))

    async def _take(self, intent: Intent) -> Outcome:
        problem = await self._tools.take_theirs(self._item.uuid, intent.api_id, self._record.revision or "")
        if problem:
            return Outcome(kind="failed", message=f"{intent.reason}: {problem}")
        _log.warning("Bottom-up sync: API Manager's version is taken", uuid=self._item.uuid, why=intent.reason)
        return Outcome(kind="nothing", message=intent.reason)

    async def _send(self) -> Outcome | CallFailed:
        tools, uuid, made = self._tools, self._item.uuid, self._made
        await self._fetch_swagger()
        archive = await asyncio.to_thread(pack, made, self._swagger)
        if not await tools.records.importing(uuid, made.content, tools.owner):
            return Outcome(kind="busy", message="another process syncs this API")
        self._sent = True
        with tools.echoes.importing(uuid):
            begun = tools.clock()
            answer = await tools.publisher.import_archive(uuid, archive)
            if isinstance(answer, CallFailed):
                return answer
            answer = await self._with_ids(answer)
            await tools.records.imported(uuid, api_id=answer.id, revision=answer.revision, content=made.content)
            tools.echoes.imported(uuid, answer.revision, begun=begun, ended=tools.clock())
        return await self._done(answer)

    async def _with_ids(self, answer: Imported) -> Imported:
        """An answer that lacks ids has imported all the same: what it made is looked up, events are about it soon."""
        tools, item = self._tools, self._item
        api_id, revision = answer.id or self._record.api_id or "", answer.revision
        if not api_id:
            there = await tools.look(item.name, item.version, None)
            api_id = there.id if isinstance(there, Remote) else ""
        if api_id and not revision:
            found = await tools.publisher.revisions(api_id)
            revision = "" if isinstance(found, CallFailed) else evidence.deployed_at(found, tools.config.gateway_name)
        return Imported(api_id, revision)

    async def _fetch_swagger(self) -> None:
        """Once in a turn, for an API that is deployed there: what people edited in its definition survives."""
        record = self._record
        if self._asked_for_swagger or record.api_id is None or record.revision is None:
            return
        self._asked_for_swagger = True
        answer = await self._tools.publisher.swagger(record.api_id)
        if isinstance(answer, bytes):
            self._swagger = answer
            return
        _log.warning(
            "Bottom-up sync: failed to fetch swagger from APIM, falling back to local generation",
            uuid=self._item.uuid,
            apim_api_id=record.api_id,
            error=answer.message,
        )

    async def _done(self, imported: Imported) -> Outcome:
        tools, item = self._tools, self._item
        api_id, fingerprint = imported.id, None
        if tools.config.rule != "overwrite":
            there = await tools.look(item.name, item.version, api_id or None)
            if isinstance(there, CallFailed):
                _log.warning("Bottom-up sync: later edits at APIM cannot be told", uuid=item.uuid, error=there.message)
            elif there is not None:
                api_id, fingerprint = api_id or there.id, there.fingerprint
        await tools.records.deployed(
            item.uuid,
            item.queued.id,
            api_id=api_id,
            revision=imported.revision,
            content=self._made.content,
            fingerprint=fingerprint,
        )
        if self._record.api_id is None and (self._there is not None or tools.config.rule == "overwrite"):
            tools.found_again()
        _log.info(
            "Bottom-up sync: API synced successfully",
            uuid=item.uuid,
            display_name=item.name,
            api_id=api_id,
            revision=imported.revision,
        )
        return Outcome(kind="synced")
