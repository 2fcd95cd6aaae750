"""The last good snapshot on disk: written beside the traffic, whole or not at all, readable only by its owner.

It can hold private keys of listeners and hashes of credentials.
"""

import asyncio
import hashlib
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from gatewright.envoy.resource import Resource
from gatewright.observability.logging import get_logger

MAGIC: Final = b"gatewright snapshot 1\n"
MAX_RECORD_BYTES: Final = 256 << 20
MIN_INTERVAL_S: Final = 1.0
RETRY_S: Final = 10.0
SHARE: Final = 10
"""At most one part in so many of the time is spent writing."""

_LENGTH: Final = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[str, str, str, bytes])
_log = get_logger(__name__)


class Damaged(Exception):
    """The file is not a complete snapshot."""


def write(path: Path, resources: Iterable[Resource]) -> None:
    """Replace the file in one step; OSError leaves the old one as it was. Blocks: not for the event loop."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            _write_records(file, resources)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def read(path: Path) -> list[Resource]:
    """The resources in the file. FileNotFoundError without one, Damaged when it cannot be trusted. Blocks."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise Damaged("it does not begin like a snapshot")
    view = memoryview(data)
    body, checksum = view[: -hashlib.sha256().digest_size], view[-hashlib.sha256().digest_size :]
    if hashlib.sha256(body).digest() != checksum:
        raise Damaged("its checksum does not match")
    resources: list[Resource] = []
    at = len(MAGIC)
    while at < len(body):
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        try:
            resources.append(Resource(*_decoder.decode(body[at : at + length])))
        except msgspec.DecodeError as error:
            raise Damaged(f"a record cannot be read: {error}") from error
        at += length
    return resources


def _write_records(file: BinaryIO, resources: Iterable[Resource]) -> None:
    digest = hashlib.sha256(MAGIC)
    file.write(MAGIC)
    for resource in resources:
        record = _encoder.encode((resource.type_url, resource.name, resource.version, resource.body))
        framed = _LENGTH.pack(len(record)) + record
        digest.update(framed)
        file.write(framed)
    file.write(digest.digest())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class LastGood:
    """Keeps the file up to date: many changes become one write, and writing never takes much of the time.

    `resources` gives what is good at that moment; it is called on the event loop.
    """

    def __init__(self, path: Path, *, interval_s: float = MIN_INTERVAL_S) -> None:
        self._path = path
        self._interval_s = interval_s
        self._resources: Callable[[], list[Resource]] = list
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last_error: str | None = None
        self.writes = 0

    async def load(self) -> list[Resource]:
        """What an earlier run left; nothing when there is no file or it is damaged, which the log tells."""
        try:
            resources = await asyncio.to_thread(read, self._path)
        except FileNotFoundError:
            return []
        except (Damaged, struct.error) as error:
            aside = self._path.with_name(self._path.name + ".damaged")
            with suppress(OSError):
                self._path.replace(aside)
            _log.error("the last good snapshot is damaged; starting without it", file=str(self._path), why=str(error))
            return []
        except OSError as error:
            _log.error(
                "the last good snapshot cannot be read; starting without it", file=str(self._path), why=str(error)
            )
            return []
        _log.info("last good snapshot loaded", file=str(self._path), resources=len(resources))
        return resources

    def start(self, resources: Callable[[], list[Resource]]) -> None:
        """Begin to follow changes."""
        self._resources = resources
        self._task = asyncio.get_running_loop().create_task(self._run(), name="last-good-snapshot")

    def changed(self) -> None:
        """What is good has changed."""
        self._changed.set()

    async def stop(self) -> None:
        """Write what is not written yet, and end."""
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        if self._changed.is_set():
            await self._save()

    async def _run(self) -> None:
        pause = self._interval_s
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            await asyncio.sleep(pause)
            began = loop.time()
            saved = await self._save()
            pause = max(self._interval_s, SHARE * (loop.time() - began)) if saved else RETRY_S

    async def _save(self) -> bool:
        self._changed.clear()
        writing = asyncio.ensure_future(asyncio.to_thread(write, self._path, self._resources()))
        try:
            # A write that has begun is finished also when we are told to stop.
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(OSError):
                await writing
            raise
        except OSError as error:
            self._changed.set()
            if self.last_error is None:
                _log.error("the last good snapshot cannot be written", file=str(self._path), why=str(error))
            self.last_error = str(error)
            return False
        self.writes += 1
        self.last_error = None
        return True
