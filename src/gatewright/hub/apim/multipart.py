"""The file or the text that a multipart body brings."""

from collections.abc import AsyncGenerator
from typing import Final

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gatewright.hub.apim.problems import Refusal
from gatewright.hub.http import read_body

_OVERHEAD: Final = 65_536
_MAX_PARTS: Final = 8


class Part(msgspec.Struct, frozen=True):
    """One part: a text has no file name."""

    content: bytes
    file_name: str
    content_type: str


async def read_part(request: Request, name: str, limit: int) -> Part:
    """The part `name` of at most `limit` bytes. Raises Refusal 400, 413 or 415."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refusal(415, "The body must be multipart/form-data.")
    body = await read_body(request, limit + _OVERHEAD)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = MultiPartParser(
        request.headers, stream(), max_files=_MAX_PARTS, max_fields=_MAX_PARTS, max_part_size=limit
    )
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError):
        raise Refusal(400, "The multipart body cannot be read.") from None
    try:
        part = form.get(name)
        if isinstance(part, UploadFile):
            content = await part.read()
            if len(content) > limit:
                raise Refusal(413, f"The part '{name}' has more than {limit} bytes.")
            return Part(content, part.filename or "", part.content_type or "")
        if isinstance(part, str):
            return Part(part.encode(), "", "text/plain")
        raise Refusal(400, f"The part '{name}' is missing.")
    finally:
        await form.close()
