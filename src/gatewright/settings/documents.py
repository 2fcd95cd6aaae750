"""Parsed configuration as nested tables with the source of every value. Reads no files. Pure.

A document passes here three times: its names are matched against the tree (`recognise`), it is laid over the
documents before it (`Document.overlay`), and it gets single values from the environment (`Document.put`).
"""

import difflib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from gatewright.settings.kinds import Section
from gatewright.settings.schema import FREE_FORM, element, keys_by_path, kind_of, subsection, without_indexes
from gatewright.settings.tree import Settings

Table = dict[str, Any]
DEFAULT = "default"


@dataclass(slots=True)
class Document:
    """Raw values and, by key path, where each came from."""

    table: Table = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def overlay(self, table: Table, source: str) -> None:
        """Lay `table` over: tables merge, everything else is replaced as a whole."""
        self._merge(self.table, table, "", source)

    def put(self, path: str, value: object, source: str) -> None:
        """Set one value; `path` has no list indexes. A scalar in the way of a table is replaced."""
        *parents, name = path.split(".")
        table = self.table
        for parent in parents:
            inner = table.get(parent)
            if not isinstance(inner, dict):
                inner = table[parent] = {}
            table = inner
        table[name] = value
        self.record(path, value, source)

    def get(self, path: str) -> object:
        """The raw value at `path`, or None."""
        value: object = self.table
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def record(self, path: str, value: object, source: str) -> None:
        """Note `source` for everything at and below `path`."""
        for known in [name for name in self.sources if _is_below(name, path)]:
            del self.sources[known]
        for leaf in leaves(value, path):
            self.sources[leaf] = source

    def source_of(self, path: str) -> str:
        """Where the value at `path`, or the table or list that holds it, came from."""
        while path:
            if path in self.sources:
                return self.sources[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return DEFAULT

    def _merge(self, base: Table, over: Mapping[str, Any], prefix: str, source: str) -> None:
        for name, value in over.items():
            path = f"{prefix}{name}"
            current = base.get(name)
            if isinstance(current, dict) and isinstance(value, Mapping):
                self._merge(current, value, f"{path}.", source)
            else:
                base[name] = deepcopy(value)
                self.record(path, value, source)


def leaves(value: object, path: str) -> list[str]:
    """The paths of all scalars and lists of scalars at and below `path`; an empty table counts as one."""
    if isinstance(value, Mapping) and value:
        return [leaf for name, item in value.items() for leaf in leaves(item, f"{path}.{name}")]
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, f"{path}[{index}]")]
    return [path]


@dataclass(slots=True)
class Recognised:
    """A document with known names only, and the paths of the names that are not known."""

    table: Table
    unknown: list[str]


def recognise(raw: Mapping[str, Any]) -> Recognised:
    """Match names in any case against the tree; null values count as absent."""
    unknown: list[str] = []
    return Recognised(_match(raw, Settings, "", unknown), unknown)


def suggestion(path: str) -> str:
    """The known key that an unknown one probably means, or ''."""
    parent, _, name = without_indexes(path).lower().rpartition(".")
    known = keys_by_path()
    prefix = f"{parent}." if parent else ""
    siblings = dict.fromkeys(
        key[len(prefix) :].split(".")[0].removesuffix("[]") for key in known if key.startswith(prefix)
    )
    sibling = nearest(name, siblings, 0.6)
    if sibling:
        return prefix + sibling
    same_name = [key for key in known if key.rpartition(".")[2] == name]
    if same_name:
        depth = path.count(".")
        return min(same_name, key=lambda key: (abs(key.count(".") - depth), key))
    return nearest(without_indexes(path).lower(), known, 0.8)


def nearest(word: str, known: Iterable[str], cutoff: float) -> str:
    """The most similar of `known`, the first one if several are; '' below `cutoff` (0 to 1)."""
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(word[:200])
    best, best_ratio = "", cutoff
    for candidate in known:
        matcher.set_seq1(candidate)
        if matcher.real_quick_ratio() >= best_ratio and matcher.quick_ratio() >= best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio or (ratio == best_ratio and not best):
                best, best_ratio = candidate, ratio
    return best


def _match(raw: Mapping[str, Any], section: type[Section], prefix: str, unknown: list[str]) -> Table:
    table: Table = {}
    for written, value in raw.items():
        name = str(written).lower()
        path = f"{prefix}{written}"
        info = section.model_fields.get(name)
        if info is None:
            unknown.append(path)
            continue
        if value is None:
            continue
        inner, items = subsection(info), element(info)
        if inner is not None and isinstance(value, Mapping):
            table[name] = _match(value, inner, f"{path}.", unknown)
        elif items is not None and isinstance(value, Mapping | list | tuple):
            listed = list(value) if isinstance(value, list | tuple) else [value] if value else []
            table[name] = [
                _match(item, items, f"{path}[{index}].", unknown) if isinstance(item, Mapping) else item
                for index, item in enumerate(listed)
            ]
        elif kind_of(info) in FREE_FORM and isinstance(value, Mapping):
            table[name] = {str(key): item for key, item in value.items() if item is not None}
        else:
            table[name] = value
    return table


def _is_below(name: str, path: str) -> bool:
    return name == path or (name.startswith(path) and name[len(path)] in ".[")
