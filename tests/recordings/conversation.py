"""A conversation as data: its parts, how bodies are shown, how it is written and read.

Bodies are kept as what they mean (`json`, `zip`, `tar`, `import`, `form`, `text`), because bytes cannot be reviewed.
"""

import gzip
import hashlib
import io
import itertools
import json
import re
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import yaml
from recorded_credentials import Credentials

from gatewright.controlplane.echoes import deployment_id

Body = dict[str, Any]
"""At most one member: the kind of the body, and what it holds. Empty: no body."""

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
DERIVED = re.compile(r".{14}3")
"""An id that is made of other ids (version 3)."""

TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
MILLISECONDS = re.compile(r"(?<!\w)1[0-9]{12}(?!\w)")
"""Times as API Manager's Publisher writes them."""

MASKED = re.compile(r"(\*{4})[\w-]{4}(?![\w-])")
POLICY = re.compile(rf"policyId\W+({UUID.pattern})")
"""Ids of policies are made of name and version: they are the same everywhere, and compared as they are."""

FIRST_TIME = datetime(2026, 8, 1, 10, 0, 0, tzinfo=UTC)


def shown(content: bytes, content_type: str) -> Body:
    """A body as it stands in the file."""
    kind = content_type.partition(";")[0].strip().lower()
    if not content:
        return {}
    if kind == "multipart/form-data":
        return _shown_form(content, content_type)
    if kind == "application/x-www-form-urlencoded":
        return {"form": dict(parse_qsl(content.decode()))}
    if content.startswith(b"PK"):
        return {"zip": _unzipped(content)}
    if content.startswith(b"\x1f\x8b"):
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            files = {member.name: archive.extractfile(member) for member in archive.getmembers() if member.isfile()}
            return {"tar": {name: _text(file.read()) for name, file in sorted(files.items()) if file is not None}}
    try:
        return {"json": json.loads(content)}
    except ValueError:
        return {"text": _text(content)}


def made(body: Body) -> tuple[bytes, str]:
    """The bytes of an answer's body, and their type."""
    if "json" in body:
        # As both control planes write it: a definition goes back to API Manager as it came.
        text = json.dumps(body["json"], ensure_ascii=False, separators=(",", ":"))
        return text.encode(), "application/json"
    if "zip" in body:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in body["zip"].items():
                archive.writestr(name, text)
        return buffer.getvalue(), "application/zip"
    if "tar" in body:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, text in body["tar"].items():
                data = text.encode()
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return gzip.compress(buffer.getvalue()), "application/x-tar+gzip"
    if "form" in body:
        return urlencode(body["form"]).encode(), "application/x-www-form-urlencoded"
    return str(body.get("text", "")).encode(), "text/plain"


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _unzipped(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: _text(archive.read(name)) for name in sorted(archive.namelist())}


def _shown_form(content: bytes, content_type: str) -> Body:
    """The parts of a form by name; a part that is a ZIP of JSON is shown as that JSON."""
    message = message_from_bytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + content)
    parts: dict[str, Any] = {}
    for part in message.get_payload():
        name = str(part.get_param("name", header="content-disposition"))
        payload = part.get_payload(decode=True)
        if payload.startswith(b"PK"):
            files = _unzipped(payload)
            texts = {file: json.loads(t) if file.endswith(".json") else t for file, t in files.items()}
            parts[name] = {"filename": part.get_filename(), "zip": texts}
        else:
            parts[name] = _text(payload)
    return {"parts": parts}


def without_what_grows(path: str, body: Body) -> Body:
    """The manifest lists every policy there is: that it is a list of named versions is all that is compared."""
    if not path.endswith("/manifest") or "json" not in body:
        return body
    policies = body["json"].get("policies")
    proper = isinstance(policies, list) and all({"name", "version", "managedBy"} <= each.keys() for each in policies)
    return {"json": {**body["json"], "policies": "a list of policies" if proper else policies}}


class Tidied:
    """Puts stable ids, times and hashes in the place of random ones. One for a whole recording."""

    def __init__(self, text: str) -> None:
        """`text`: everything that is going to be tidied, in its order."""
        of_policies = set(POLICY.findall(text))
        found_ids = [found for found in _in(UUID, text) if found not in of_policies]
        self._ids = {found: f"00000000-0000-4000-8000-{number:012}" for number, found in enumerate(found_ids, 1)}
        self._ids |= _made_of_others(self._ids)
        ordered = sorted(_in(TIME, text), key=_moment)
        self._times: dict[str, str] = {}
        last, second = None, -1
        for found in ordered:
            moment = _moment(found)
            if moment.year > 1:
                second += last != moment
                last = moment
                self._times[found] = _like(found, FIRST_TIME + timedelta(seconds=second))
        self._milliseconds = {
            found: str(int(FIRST_TIME.timestamp() * 1000) + 1000 * number)
            for number, found in enumerate(sorted(_in(MILLISECONDS, text)))
        }
        self._hashes = {
            found: hashlib.sha256(f"recorded {number}".encode()).hexdigest()
            for number, found in enumerate(_in(HASH, text), 1)
        }

    def __call__(self, value: Any) -> Any:
        """The value with everything replaced."""
        if isinstance(value, dict):
            return {self(key): self(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self(each) for each in value]
        if not isinstance(value, str):
            return value
        replaced = (UUID, self._ids), (TIME, self._times), (MILLISECONDS, self._milliseconds), (HASH, self._hashes)
        for pattern, table in replaced:
            value = pattern.sub(lambda match, table=table: table.get(match[0], match[0]), value)
        return MASKED.sub(r"\1feed", value)


def _made_of_others(ids: dict[str, str]) -> dict[str, str]:
    """API Manager makes the id of a deployment of three other ids; a gateway knows its own imports by that."""
    derived = {found for found in ids if DERIVED.match(found)}
    if not derived:
        return {}
    triples = itertools.permutations([found for found in ids if found not in derived], 3)
    return {
        made: deployment_id(*(ids[each] for each in triple))
        for triple in triples
        if (made := deployment_id(*triple)) in derived
    }


def _in(pattern: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(pattern.findall(text)))


def _moment(text: str) -> datetime:
    whole, _, fraction = text.replace("Z", "+00:00").partition(".")
    if fraction:
        digits = re.match(r"\d+", fraction)
        assert digits is not None
        whole += "." + digits[0][:6].ljust(6, "0") + fraction[len(digits[0]) :]
    return datetime.fromisoformat(whole)


def _like(text: str, moment: datetime) -> str:
    """A time as precise as `text`, in milliseconds or microseconds: zeros at the end are not written."""
    fraction = re.search(r"\.(\d+)", text)
    digits = "" if fraction is None else ".123" if len(fraction[1]) <= 3 else ".123456"
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + digits + "Z"


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, lists below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_node)


def time_after(steps: list[dict[str, Any]]) -> datetime:
    """A moment just after everything in these steps, and before anything in those that follow."""
    return max(map(_moment, TIME.findall(json.dumps(steps))), default=FIRST_TIME) + timedelta(milliseconds=500)


def write(path: Path, steps: list[dict[str, Any]], credentials: Credentials) -> None:
    """Keep a recording, tidied and without credentials."""
    steps = credentials.hidden(steps)
    tidied = Tidied(json.dumps(steps, ensure_ascii=False))(steps)
    text = yaml.dump(tidied, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118)
    credentials.refuse_leaks(text)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# Recorded by tests/recordings/record.py; see the README beside it.\n{text}", encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """A recording."""
    steps: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return steps
