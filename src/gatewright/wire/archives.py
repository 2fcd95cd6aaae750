"""The two archives that carry definitions: a ZIP with one document, a tar.gz with a document per deployment.

Written deterministically; read without ever touching the file system and within limits on size, count and
expansion, so that neither a bomb nor a name with tricks does more than make the call fail.
"""

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Final, cast

import msgspec

from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.kinds import NAMES, ArtifactKind, kind_of


class ArchiveLimits(msgspec.Struct, frozen=True):
    """Bounds in bytes and entries: of the archive as received, of one document, of everything unpacked."""

    archive: int = 50 * 1_048_576
    document: int = 16 * 1_048_576
    total: int = 256 * 1_048_576
    entries: int = 10_000


DEFAULT_LIMITS: Final = ArchiveLimits()

_FIXED_DATE: Final = (1980, 1, 1, 0, 0, 0)
_YAML: Final = (".yaml", ".yml")
_CHUNK: Final = 65_536
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ENCRYPTED: Final = 0x1


class Batch(msgspec.Struct, frozen=True):
    """A batch as read: deployment id → document; `skipped` names entries that were left out, with the reason."""

    documents: dict[str, bytes]
    skipped: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Batch({len(self.documents)} documents, {len(self.skipped)} skipped)"


def entry_name(kind: str, artifact_id: str) -> str:
    """Name of a document inside either archive, such as `api-<id>.yaml`."""
    known = kind_of(kind)
    prefix = NAMES[known].entry if known is not None else ""
    return f"{prefix or 'api'}-{artifact_id}.yaml"


def batch_entry_name(kind: str, artifact_id: str) -> str:
    """Name inside a batch: event-gateway kinds share the prefix `api-` there."""
    known = kind_of(kind)
    event_kind = known in {ArtifactKind.WEBSUB_API, ArtifactKind.WEBBROKER_API}
    return entry_name("" if event_kind else kind, artifact_id)


def attachment_name(kind: str, artifact_id: str) -> str:
    """File name that goes with a definition download."""
    return entry_name(kind, artifact_id).removesuffix(".yaml") + ".zip"


def write_definition(name: str, document: bytes) -> bytes:
    """A ZIP with one deflated entry."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name, _FIXED_DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o644 << 16
        archive.writestr(info, document)
    return buffer.getvalue()


def read_definition(data: bytes, limits: ArchiveLimits = DEFAULT_LIMITS) -> bytes | Undecodable:
    """The first `.yaml` or `.yml` entry of a ZIP, in archive order."""
    return read_zip_entry(
        data,
        lambda name: name.lower().endswith(_YAML),
        limits,
        subject="definition",
        missing="no YAML file found in zip archive",
    )


def read_zip_entry(
    data: bytes,
    wanted: Callable[[str], bool],
    limits: ArchiveLimits,
    *,
    subject: str,
    missing: str,
) -> bytes | Undecodable:
    """The first entry of a ZIP whose name is `wanted`. Any unsafe name refuses the whole archive."""
    if len(data) > limits.archive:
        return Undecodable(WireFault.TOO_LARGE, f"archive has more than {limits.archive} bytes", subject=subject)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = _choose(archive, wanted, limits, subject, missing)
            return entry if isinstance(entry, Undecodable) else _read_entry(archive, entry, limits, subject)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError, RuntimeError):
        return Undecodable(WireFault.BROKEN_ARCHIVE, "not a readable ZIP archive", subject=subject)


def write_batch(documents: Mapping[str, tuple[str, bytes]]) -> bytes:
    """A tar.gz of `deployment id → (entry name, document)`, without directory entries."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as archive:
        for deployment_id, (name, document) in documents.items():
            info = tarfile.TarInfo(f"{deployment_id}/{name}")
            info.size = len(document)
            info.mode = 0o644
            archive.addfile(info, io.BytesIO(document))
    return buffer.getvalue()


def read_batch(data: bytes, limits: ArchiveLimits = DEFAULT_LIMITS) -> Batch | Undecodable:
    """Read a batch, gzipped or plain tar. A broken stream or a broken limit fails all of it."""
    if len(data) > limits.archive:
        return Undecodable(WireFault.TOO_LARGE, f"archive has more than {limits.archive} bytes", subject="batch")
    source: IO[bytes] = io.BytesIO(data)
    try:
        if data.startswith(_GZIP_MAGIC):
            inflated = _Inflated(data, limits.total)
            batch = _read_tar(inflated, limits)
            inflated.drain()
            return batch
        with source:
            return _read_tar(source, limits)
    except _LimitExceededError as error:
        return Undecodable(WireFault.TOO_LARGE, str(error), subject="batch")
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, RecursionError):
        return Undecodable(WireFault.BROKEN_ARCHIVE, "not a readable tar archive", subject="batch")


class _LimitExceededError(Exception):
    """Raised inside this module only."""


class _Inflated:
    """A read-only stream over gzip data that stops at a limit instead of inflating a bomb."""

    def __init__(self, data: bytes, limit: int) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self._data = data
        self._left = limit

    def read(self, size: int) -> bytes:
        """At most `size` bytes; empty at the end. Raises when the limit is passed or the stream is cut off."""
        pieces: list[bytes] = []
        wanted = size
        while wanted > 0 and not self._inflate.eof:
            piece = self._inflate.decompress(self._data, min(wanted, _CHUNK))
            self._data = self._inflate.unconsumed_tail
            if not piece and not self._data and not self._inflate.eof:
                raise EOFError("gzip stream ends early")
            self._left -= len(piece)
            if self._left < 0:
                raise _LimitExceededError("unpacked archive is too large")
            wanted -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def drain(self) -> None:
        """Read what is left, so that a stream that was cut off or damaged near its end is noticed."""
        while self.read(_CHUNK):
            pass


def _read_tar(source: object, limits: ArchiveLimits) -> Batch:
    documents: dict[str, bytes] = {}
    skipped: list[tuple[str, str]] = []
    total = 0
    # Stream mode: tarfile then neither seeks nor trusts an index of its own making.
    with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r|", encoding="utf-8", errors="replace") as archive:
        for count, member in enumerate(archive, start=1):
            if count > limits.entries:
                raise _LimitExceededError(f"archive has more than {limits.entries} entries")
            if member.isdir():
                continue
            reason, deployment_id = _placed(member)
            if reason:
                skipped.append((member.name[:200], reason))
                continue
            total += member.size
            if member.size > limits.document or total > limits.total:
                raise _LimitExceededError("a document or the whole archive is too large")
            content = archive.extractfile(member)
            document = content.read() if content is not None else b""
            if len(document) != member.size:
                raise EOFError("archive ends inside a document")
            documents[deployment_id] = document
    return Batch(documents, tuple(skipped))


def _placed(member: tarfile.TarInfo) -> tuple[str, str]:
    """(why it is left out, deployment id): the id is the name of the directory that holds the entry."""
    segments = [segment for segment in re.split(r"/+", member.name) if segment not in {"", "."}]
    if ".." in segments or "\\" in member.name:
        return "unsafe name", ""
    if not member.isreg() or member.issparse():
        return "not a regular file", ""
    if len(segments) < 2:
        return "not inside a directory", ""
    if not segments[-1].lower().endswith(_YAML):
        return "not a YAML document", ""
    return "", segments[-2]


def _choose(
    archive: zipfile.ZipFile,
    wanted: Callable[[str], bool],
    limits: ArchiveLimits,
    subject: str,
    missing: str,
) -> zipfile.ZipInfo | Undecodable:
    entries = archive.infolist()
    if len(entries) > limits.entries:
        return Undecodable(WireFault.TOO_LARGE, f"archive has more than {limits.entries} entries", subject=subject)
    for entry in entries:
        if _unsafe(entry.filename):
            return Undecodable(WireFault.UNSAFE_ARCHIVE, "entry name leaves the archive", subject=subject)
    for entry in entries:
        if not entry.is_dir() and wanted(entry.filename):
            return entry
    return Undecodable(WireFault.NO_DOCUMENT, missing, subject=subject)


def _unsafe(name: str) -> bool:
    segments = name.replace("\\", "/").split("/")
    return ".." in segments or name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":")


def _read_entry(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    limits: ArchiveLimits,
    subject: str,
) -> bytes | Undecodable:
    if entry.flag_bits & _ENCRYPTED:
        return Undecodable(WireFault.BROKEN_ARCHIVE, "entry is encrypted", entry.filename, subject)
    too_large = Undecodable(WireFault.TOO_LARGE, f"entry has more than {limits.document} bytes", subject=subject)
    if entry.file_size > limits.document:
        return too_large
    # The declared size is the sender's claim, so the reading is bounded as well.
    with archive.open(entry) as content:
        document = content.read(limits.document + 1)
    return too_large if len(document) > limits.document else document
