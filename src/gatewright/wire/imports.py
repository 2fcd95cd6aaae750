"""Push of gateway-made artifacts: a multipart request with a ZIP of entries, and the answer per entry."""

import secrets
from typing import Any, Final

import msgspec

from gatewright.wire.archives import ArchiveLimits, read_zip_entry, write_definition
from gatewright.wire.codec import Sparse, convert, decode, encode
from gatewright.wire.failures import Undecodable, WireFault
from gatewright.wire.kinds import NAMES, kind_of
from gatewright.wire.times import Timestamp

PART_NAME: Final = "artifacts"
FILE_NAME: Final = "artifacts.zip"
ENTRY_NAME: Final = "artifacts.json"
TOTAL_FIELD: Final = "total"

MAX_ZIP_BYTES: Final = 32 * 1_048_576
MAX_JSON_BYTES: Final = 64 * 1_048_576
_LIMITS: Final = ArchiveLimits(archive=MAX_ZIP_BYTES, document=MAX_JSON_BYTES, total=MAX_JSON_BYTES, entries=100)
_SUBJECT: Final = "artifact import"

STATUS_DEPLOYED: Final = "deployed"
STATUS_UNDEPLOYED: Final = "undeployed"
STATUS_FAILED: Final = "failed"
ORIGIN_GATEWAY: Final = "gateway_api"


class ImportProperties(Sparse, frozen=True, kw_only=True):
    """`deployment_revision` repeats `deployedAt` with nanoseconds."""

    deployment_revision: str = ""


class ImportEntry(Sparse, frozen=True, kw_only=True):
    """One pushed artifact.

    `dpid` is the gateway's own UUID and keys the answer; `configuration` is the source document as submitted;
    `status` is the desired state. `deployed_at` and `properties` are left out together when unknown.
    """

    dpid: str = ""
    configuration: dict[str, Any] = msgspec.field(default_factory=dict)
    status: str = ""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    deployed_at: Timestamp | None = None
    properties: ImportProperties | None = None


class ImportResult(Sparse, frozen=True, kw_only=True):
    """What the control plane says to one entry; a non-empty `error` is a failure whatever the status.

    The times echo those of the entry; a failed one has `ZERO_TIME`.
    """

    id: str = ""
    status: str
    origin: str
    created_at: Timestamp
    updated_at: Timestamp
    deployed_at: Timestamp | None = None
    deployed_version: str = ""
    error: str = ""


class _ResultSeen(Sparse, frozen=True, kw_only=True):
    """The three members a gateway reads; the others may be anything."""

    id: str = ""
    status: str = ""
    error: str = ""


class ImportOutcome(msgspec.Struct, frozen=True):
    """One result as the gateway sees it."""

    id: str
    status: str
    error: str


class ImportBody(msgspec.Struct, frozen=True):
    """A request body and the content type that goes with it."""

    content_type: str
    content: bytes


def entry(
    dpid: str,
    configuration: dict[str, Any],
    status: str,
    *,
    created_at: Timestamp,
    updated_at: Timestamp,
    deployed_at: Timestamp | None,
) -> ImportEntry:
    """An entry with its revision derived from `deployed_at`."""
    properties = ImportProperties(deployment_revision=deployed_at.text()) if deployed_at is not None else None
    return ImportEntry(
        dpid=dpid,
        configuration=configuration,
        status=status,
        created_at=created_at,
        updated_at=updated_at,
        deployed_at=deployed_at,
        properties=properties,
    )


def push_rank(kind: str) -> int:
    """Order of entries in one request: what is referenced comes first, unknown kinds last."""
    known = kind_of(kind)
    return len(NAMES) if known is None else NAMES[known].push_rank


def encode_import(entries: list[ImportEntry]) -> ImportBody:
    """The multipart request for `entries`, sorted by rank; the order inside a rank is kept."""
    ranked = sorted(entries, key=lambda item: push_rank(str(item.configuration.get("kind", ""))))
    archive = write_definition(ENTRY_NAME, encode(ranked))
    boundary = f"gatewright-{secrets.token_hex(16)}"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{PART_NAME}"; filename="{FILE_NAME}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    tail = (
        f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="{TOTAL_FIELD}"\r\n\r\n'
        f"{len(ranked)}\r\n--{boundary}--\r\n"
    )
    return ImportBody(f"multipart/form-data; boundary={boundary}", head.encode() + archive + tail.encode())


def decode_import(archive: bytes) -> tuple[tuple[str, ImportEntry | Undecodable], ...] | Undecodable:
    """(dpid, entry) of a pushed ZIP. One bad entry is a value in the answer; only the whole being unusable fails."""
    content = read_zip_entry(
        archive,
        lambda name: name == ENTRY_NAME,
        _LIMITS,
        subject=_SUBJECT,
        missing=f"archive has no {ENTRY_NAME}",
    )
    if isinstance(content, Undecodable):
        return content
    try:
        tree = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Undecodable(WireFault.NOT_JSON, f"{ENTRY_NAME} is not valid JSON", ENTRY_NAME, _SUBJECT)
    if not isinstance(tree, list) or not tree:
        return Undecodable(WireFault.NO_DOCUMENT, f"{ENTRY_NAME} holds no list of artifacts", ENTRY_NAME, _SUBJECT)
    return tuple((_dpid_of(item), convert(item, ImportEntry, _SUBJECT)) for item in tree)


def _dpid_of(tree: object) -> str:
    """The dpid of an entry that could not be read otherwise, as far as it has one."""
    value = tree.get("dpid") if isinstance(tree, dict) else None
    return value if isinstance(value, str) else ""


def encode_import_answer(results: dict[str, ImportResult]) -> bytes:
    """The answer to a push."""
    failed = sum(1 for result in results.values() if result.error)
    return encode(
        {"total": len(results), "success": len(results) - failed, "failed": failed, "artifacts": results},
    )


class _Answer(Sparse, frozen=True, kw_only=True):
    artifacts: dict[str, Any] = msgspec.field(default_factory=dict)


def decode_import_answer(body: bytes) -> dict[str, ImportOutcome] | Undecodable:
    """Results by dpid."""
    answer = decode(body, _Answer, "import answer")
    if isinstance(answer, Undecodable):
        return answer
    outcomes: dict[str, ImportOutcome] = {}
    for dpid, tree in answer.artifacts.items():
        seen = convert(tree, _ResultSeen, "import answer")
        if isinstance(seen, Undecodable):
            return seen
        outcomes[dpid] = ImportOutcome(seen.id, seen.status, seen.error)
    return outcomes
