"""The settings tree as a list of keys: for unknown-key reports, environment names, and the reference page.

Derived from the tree's own annotations, once per process. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from gatewright.settings.kinds import Constraint, Kind, Section
from gatewright.settings.tree import Settings

FREE_FORM = frozenset({"map of string", "map of list", "any"})
SECRET = "secret"  # noqa: S105 - the name of a kind
ENV_PREFIX = "APIP_GW_"


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """One key. `path` has `[]` after the name of a list of tables: `controller.auth.basic.users[].roles`."""

    path: str
    kind: str
    default: Any
    about: str
    constraints: tuple[Constraint, ...]

    @property
    def from_environment(self) -> bool:
        """Whether one variable can hold the whole value."""
        return self.kind not in FREE_FORM and self.kind != "list of table" and "[]" not in self.path

    @property
    def variable(self) -> str:
        """The exact name of the environment variable in the spelling of 1.2."""
        return ENV_PREFIX + canonical(self.path)


def canonical(path: str) -> str:
    """The canonical environment name of a key path, without the prefix."""
    return re.sub(r"_+", "_", path.replace(".", "_")).upper()


def subsection(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds directly."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def element(field: FieldInfo) -> type[Section] | None:
    """The section that the elements of a list of tables are."""
    if get_origin(field.annotation) is not tuple:
        return None
    first = get_args(field.annotation)[0]
    return first if isinstance(first, type) and issubclass(first, Section) else None


def kind_of(field: FieldInfo) -> str:
    """The name of a leaf's type."""
    return next((item.name for item in field.metadata if isinstance(item, Kind)), "string")


@cache
def keys() -> tuple[KeyInfo, ...]:
    """Every known key, in the order of the tree."""
    return tuple(_walk(Settings, ""))


@cache
def keys_by_path() -> dict[str, KeyInfo]:
    """The same by path."""
    return {info.path: info for info in keys()}


@cache
def section_texts() -> dict[str, str]:
    """What each table is for, by path."""
    return dict(_texts(Settings, ""))


@cache
def canonical_names() -> dict[str, KeyInfo]:
    """Canonical environment name to key. ValueError if two keys share one, which is a mistake in the tree."""
    names: dict[str, KeyInfo] = {}
    for info in keys():
        if not info.from_environment:
            continue
        name = canonical(info.path)
        if name in names:
            raise ValueError(f"{info.path} and {names[name].path} share the environment name {name}")
        names[name] = info
    return names


def without_indexes(path: str) -> str:
    """The path of the key that a value's path belongs to: `users[0].roles` becomes `users[].roles`."""
    return re.sub(r"\[\d+\]", "[]", path)


def _walk(section: type[Section], prefix: str) -> Iterator[KeyInfo]:
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        inner = subsection(field)
        if inner is not None:
            yield from _walk(inner, f"{path}.")
            continue
        constraints = tuple(item for item in field.metadata if isinstance(item, Constraint))
        default = field.get_default(call_default_factory=True)
        yield KeyInfo(path, kind_of(field), default, field.description or "", constraints)
        items = element(field)
        if items is not None:
            yield from _walk(items, f"{path}[].")


def _texts(section: type[Section], path: str) -> Iterator[tuple[str, str]]:
    yield path, (section.__doc__ or "").strip()
    for name, field in section.model_fields.items():
        inner_path = f"{path}.{name}" if path else name
        inner, items = subsection(field), element(field)
        if inner is not None:
            yield from _texts(inner, inner_path)
        if items is not None:
            yield from _texts(items, f"{inner_path}[]")
