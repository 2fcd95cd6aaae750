"""Documents out of files, folders and standard input; one file may hold many, separated by `---`.

Only what a document is (kind and name) is read here; whether it is right, the gateway says. Each keeps its text as it
was written, with its line numbers, so that the gateway's words fit the file.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from gatewright.cli.exits import Exit, Failure

LARGEST_FILE_BYTES: Final = 16 * 1024 * 1024
MOST_FILES: Final = 20_000
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `source` names file and line for people."""

    source: str
    text: bytes
    kind: str
    name: str
    tree: Any


def read(names: list[str]) -> list[Document]:
    """The documents of files, folders (all YAML and JSON below them, sorted) and `-` (standard input).

    Raises Failure for a file that cannot be read or is not YAML, and when there is no document at all.
    """
    found = [document for name in names for source, text in _texts(name) for document in split(source, text)]
    if not found:
        raise Failure(f"no documents in {', '.join(names)}", code=Exit.USAGE)
    return found


def split(source: str, text: bytes) -> list[Document]:
    """The documents of one file; empty ones are passed over."""
    try:
        decoded = text.decode("utf-8-sig")
        spans = _spans(decoded)
        return [_document(source, decoded, start, end, line, single=len(spans) == 1) for start, end, line in spans]
    except UnicodeDecodeError as error:
        raise Failure(f"{source} is not UTF-8 text", code=Exit.USAGE) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(source, error) from error


def _spans(text: str) -> list[tuple[int, int, int]]:
    """(start, end, line of the start) of every document that is not empty."""
    spans: list[tuple[int, int, int]] = []
    start, filled, line = 0, False, 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.DocumentStartEvent) and event.end_mark is not None:
            start, line, filled = event.end_mark.index, event.end_mark.line, False
        elif isinstance(event, yaml.DocumentEndEvent) and event.start_mark is not None:
            if filled:
                spans.append((start, event.start_mark.index, line))
        elif isinstance(event, yaml.ScalarEvent):
            filled = filled or bool(event.value)
        elif isinstance(event, yaml.NodeEvent):
            filled = True
    return spans


def _document(source: str, text: str, start: int, end: int, line: int, *, single: bool) -> Document:
    body = text if single else "\n" * line + text[start:end]
    tree = yaml.load(body, Loader=yaml.CSafeLoader)  # the C form of safe_load
    kind, name = _identity(tree)
    where = source if single else f"{source}, line {line + 1}"
    if not kind:
        raise Failure(
            f"{where} has no kind",
            code=Exit.USAGE,
            remedy="a document starts with apiVersion, kind and metadata.name",
        )
    if not name:
        raise Failure(f"{where} has no metadata.name", code=Exit.USAGE)
    return Document(where, body.encode("utf-8"), kind, name, tree)


def _identity(tree: Any) -> tuple[str, str]:  # noqa: ANN401 - any YAML value
    if not isinstance(tree, dict):
        return "", ""
    metadata = tree.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    kind = tree.get("kind")
    return (kind if isinstance(kind, str) else ""), (name if isinstance(name, str) else "")


def _texts(name: str) -> Iterator[tuple[str, bytes]]:
    if name == "-":
        text = sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
        yield "standard input", _checked("standard input", text)
        return
    path = Path(name)
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.suffix in SUFFIXES and not _hidden(item, path))
        if len(files) > MOST_FILES:
            raise Failure(f"{path} holds more than {MOST_FILES} documents", code=Exit.USAGE)
        for file in files:
            yield str(file), _contents(file)
    else:
        yield name, _contents(path)


def _hidden(item: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in item.relative_to(root).parts) or not item.is_file()


def _contents(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _checked(str(path), file.read(LARGEST_FILE_BYTES + 1))
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", code=Exit.USAGE) from error


def _checked(source: str, text: bytes) -> bytes:
    if len(text) > LARGEST_FILE_BYTES:
        raise Failure(f"{source} is larger than {LARGEST_FILE_BYTES // 1024 // 1024} MiB", code=Exit.USAGE)
    return text


def _unreadable(source: str, error: Exception) -> Failure:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    what = getattr(error, "problem", None) or str(error).split("\n", 1)[0] or type(error).__name__
    return Failure(f"{source}{where} is neither YAML nor JSON: {what}", code=Exit.USAGE)
