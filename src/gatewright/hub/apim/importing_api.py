"""`POST /apis/import`: an archive in, an API with a deployed revision out, and the faults that may be asked for."""

import asyncio
import io
import zipfile
from typing import Final

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gatewright.hub.apim import deploying, publishing
from gatewright.hub.apim.multipart import Part, read_part
from gatewright.hub.apim.oauth import Bearer
from gatewright.hub.apim.problems import Refusal
from gatewright.hub.apim.project import read_project
from gatewright.hub.apim.publishing import Imported, ImportOptions
from gatewright.hub.apim.queries import flag
from gatewright.hub.apim.services import Services
from gatewright.hub.http import as_json
from gatewright.wire.paths import JSON_TYPE

PART: Final = "file"
_TEXT: Final = "API imported successfully."
_HEAD_START: Final = 1.0
"""Seconds between an event that comes `before` the answer, and the answer."""
_REFUSALS: Final = {"409": "The API already exists.", "500": "Error while importing the API."}


class ImportApi:
    """The endpoint."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def endpoint(self, request: Request, caller: Bearer) -> Response:
        """One import. Raises Refusal."""
        mode = self._services.fault(request, "import_mode")
        echo = self._services.fault(request, "echo_on_import")
        options = ImportOptions(
            user=caller.user,
            preserve_provider=flag(request, "preserveProvider"),
            overwrite=flag(request, "overwrite"),
            rotate=flag(request, "rotateRevision"),
            append_version=self._services.fault(request, "context_mode") == "append_version",
            duplicates=self._services.fault(request, "duplicate_context") == "allowed",
            echo=echo == "before",
        )
        dry_run = flag(request, "dryRun")
        part = await read_part(request, PART, self._services.config.max_archive_bytes)
        self._services.recorder.keep_upload(request.scope, _summary(part), part.content)
        if not part.file_name:
            raise Refusal(400, f"The part '{PART}' must be a file.")
        self._refuse(mode)
        # In a thread of its own: large documents would hold up every connection.
        project = await asyncio.to_thread(read_project, part.content)
        if dry_run:
            return as_json({"api": project.data["name"], "violations": []})
        done = await self._services.store.write(lambda unit: publishing.import_api(unit, project, options))
        if mode == "slow":
            await asyncio.sleep(self._services.config.slow_import)
        if options.echo:
            await asyncio.sleep(_HEAD_START)
        response = _answer(request, done, mode)
        if done.silent and echo == "after":
            response.background = BackgroundTask(self._echo, done, caller.user)
        return response

    def _refuse(self, mode: str) -> None:
        if mode == "503":
            seconds = self._services.switches.peek("retry_after")
            headers = None if seconds == "none" else {"retry-after": seconds}
            raise Refusal(503, "The server is starting.", headers=headers)
        if mode in _REFUSALS:
            raise Refusal(int(mode), _REFUSALS[mode])

    async def _echo(self, done: Imported, user: str) -> None:
        await self._services.store.write(lambda unit: deploying.announce(unit, done.api_id, done.revision_id, user))


def _answer(request: Request, done: Imported, mode: str) -> Response:
    if mode == "empty":
        return as_json({})
    if mode == "text" or request.headers.get("accept", "") != JSON_TYPE:
        return PlainTextResponse(_TEXT)
    return as_json({"id": done.api_id, "revision": done.revision_id})


def _summary(part: Part) -> dict[str, object]:
    entries: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(part.content)) as archive:
            entries = archive.namelist()[:100]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        pass
    return {
        "part": PART,
        "fileName": part.file_name,
        "contentType": part.content_type,
        "bytes": len(part.content),
        "entries": entries,
    }
