"""Reads the archive of an API project: three documents out of a ZIP from somebody who may mean harm. Pure.

Nothing touches the file system; entries, sizes, nesting and repetition have bounds, whatever the archive claims.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from gatewright.hub.apim.problems import Refusal

MAX_ENTRIES: Final = 1000
MAX_DOCUMENT: Final = 8 * 1_048_576
MAX_VALUES: Final = 500_000
"""Of one document after its aliases are followed."""
MAX_DEPTH: Final = 100

_ENCRYPTED: Final = 0x1
_API: Final = ("api.yaml", "api.json")
_ENVIRONMENTS: Final = ("deployment_environments.yaml", "deployment_environments.json")
_DEFINITION: Final = ("Definitions/swagger.yaml", "Definitions/swagger.json")
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError, RuntimeError)


class ProjectFiles(msgspec.Struct, frozen=True):
    """The decoded documents of a project: plain JSON values with texts for keys."""

    api: Any
    environments: Any
    definition: Any


def read_files(content: bytes) -> ProjectFiles:
    """Read the three documents. Raises Refusal 400."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = _checked(archive)
            folder = _folder(entries)
            return ProjectFiles(
                api=_document(archive, entries, folder, _API),
                environments=_document(archive, entries, folder, _ENVIRONMENTS),
                definition=_document(archive, entries, folder, _DEFINITION),
            )
    except _BROKEN:
        raise _malformed("the file is not a readable ZIP archive") from None


def read_document(content: bytes, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Decode YAML or JSON. Raises Refusal 400 that names the document."""
    try:
        tree = yaml.load(content.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 - a safe loader with less in it
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise _malformed(f"{name} is neither YAML nor JSON{where}") from None
    except (ValueError, RecursionError, OverflowError):
        raise _malformed(f"{name} is neither YAML nor JSON") from None
    return _Plain(name).value(tree, 0)


class _Loader(yaml.CSafeLoader):
    """Times stay texts, as for API Manager; `<<` is a name like any other, because merging can grow without end."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as its base class has it
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":merge"))]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


class _Plain:
    """Makes JSON values of what YAML can hold, and stops at documents that grow without end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_VALUES

    def value(self, tree: object, depth: int) -> Any:  # noqa: ANN401 - any JSON value
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise _malformed(f"{self._name} has more than {MAX_VALUES} values or is nested too deeply")
        if isinstance(tree, dict):
            return {_key(key): self.value(each, depth + 1) for key, each in tree.items()}
        if isinstance(tree, list):
            return [self.value(each, depth + 1) for each in tree]
        if isinstance(tree, float) and not math.isfinite(tree):
            raise _malformed(f"{self._name} holds a number that is none")
        if tree is None or isinstance(tree, str | int | float):
            return tree
        raise _malformed(f"{self._name} holds a value that has no JSON form")


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _checked(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or name.startswith(("/", "\\")) or name[1:2] == ":" or "\0" in name:
            raise _malformed("an entry of the archive has a name that leaves it")
        if info.flag_bits & _ENCRYPTED:
            raise _malformed("an entry of the archive is encrypted")
        if name in entries:
            raise _malformed("the archive has two entries of the same name")
        entries[name] = info
        if len(entries) > MAX_ENTRIES:
            raise _malformed(f"the archive has more than {MAX_ENTRIES} entries")
    return entries


def _folder(entries: dict[str, zipfile.ZipInfo]) -> str:
    """The project's folder with a slash at its end: the outermost one that holds the API."""
    found = sorted(_folders(entries), key=lambda folder: (folder.count("/"), folder))
    if not found:
        raise _malformed("the archive has no project folder with an api.yaml")
    return found[0]


def _folders(entries: dict[str, zipfile.ZipInfo]) -> Iterator[str]:
    for name in entries:
        folder, slash, last = name.rpartition("/")
        if slash and last in _API:
            yield f"{folder}/"


def _document(
    archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], folder: str, names: tuple[str, ...]
) -> Any:  # noqa: ANN401 - any JSON value
    info = next((entries[folder + name] for name in names if folder + name in entries), None)
    if info is None:
        raise _malformed(f"the project has no {names[0]}")
    name = info.filename.removeprefix(folder)
    too_large = Refusal(413, f"{name} has more than {MAX_DOCUMENT} bytes.")
    if info.file_size > MAX_DOCUMENT:
        raise too_large
    # The declared size is the sender's claim, so the reading is bounded as well.
    with archive.open(info) as file:
        content = file.read(MAX_DOCUMENT + 1)
    if len(content) > MAX_DOCUMENT:
        raise too_large
    return read_document(content, name)


def _malformed(what: str) -> Refusal:
    return Refusal(400, f"Error while importing the API: {what}.", code=900906, message="Malformed API project")
