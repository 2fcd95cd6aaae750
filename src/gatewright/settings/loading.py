"""From files and environment to typed settings: the order of the steps, and what comes out.

files → recognise → overlay → tokens → environment → stand-ins → types → rules. The first two and the last steps
collect what they find; nothing stops at the first mistake.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from gatewright.observability.redaction import register_secret
from gatewright.settings.documents import Document, recognise, suggestion
from gatewright.settings.environment import overlay_environment
from gatewright.settings.interpolation import Interpolator
from gatewright.settings.kinds import Section
from gatewright.settings.problems import TYPE, Problem, SettingsError
from gatewright.settings.reading import read_toml
from gatewright.settings.resolving import Interpolated, fill_defaults, interpolate, stand_in
from gatewright.settings.rules import judge
from gatewright.settings.schema import SECRET, keys_by_path, subsection, without_indexes
from gatewright.settings.tree import Settings

_MAX_UNKNOWN = 100


@dataclass(frozen=True, slots=True)
class Loaded:
    """Effective settings and how they came about."""

    settings: Settings
    warnings: tuple[str, ...]
    """Sentences for people; they never contain a value of an environment variable."""
    sources: Mapping[str, str]
    """Key path of every effective value → "default", a file, or an environment variable."""
    interpolated: Interpolated = field(default_factory=Interpolated)


@dataclass(slots=True)
class Layers:
    """Documents that have been laid over each other so far, with what was found on the way."""

    document: Document = field(default_factory=Document)
    warnings: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, table: Mapping[str, Any], source: str) -> None:
        """Lay one parsed document over the ones before it."""
        found = recognise(table)
        self.document.overlay(found.table, source)
        for path in found.unknown[:_MAX_UNKNOWN]:
            near = suggestion(path)
            hint = f'; did you mean "{near}"?' if near else ""
            self.warnings.append(f'{source}: key "{path}" is not known and is ignored{hint}')
        if len(found.unknown) > _MAX_UNKNOWN:
            self.warnings.append(f"{source}: {len(found.unknown) - _MAX_UNKNOWN} more unknown keys are ignored")

    def add_files(self, files: Sequence[Path]) -> None:
        """Lay files over what is there, in their order; one that cannot be read is a problem."""
        for path in files:
            table = read_toml(path)
            if isinstance(table, Problem):
                self.problems.append(table)
            else:
                self.add(table, str(path))


def load(files: Sequence[Path], environ: Mapping[str, str], *, strict: bool = False) -> Loaded:
    """The settings that `files` (later ones win) and `environ` (wins over files) give.

    `strict`: as 1.2 of the original, the environment reaches a key only through an `{{ env }}` token. No file at
    all means defaults and environment. Raises SettingsError with every problem found. Secret values are
    registered for redaction in the log.
    """
    layers = Layers()
    layers.add_files(files)
    return settle(layers, environ, strict=strict)


def settle(layers: Layers, environ: Mapping[str, str], *, strict: bool = False) -> Loaded:
    """The steps after the files: tokens, environment, stand-ins, types, rules."""
    document, problems = layers.document, list(layers.problems)
    interpolated, found = interpolate(document, Interpolator.from_environ(environ))
    problems += found
    warnings = [*layers.warnings, *overlay_environment(document, environ, strict=strict)]
    if not strict:
        warnings += stand_in(document)
    fill_defaults(document)
    settings, found = _typed(document)
    problems += found
    broken = {problem.key for problem in problems}
    problems += [problem for problem in judge(settings, document) if problem.key not in broken]
    secrets = [value.get_secret_value() for _, value in values(settings) if isinstance(value, SecretStr)]
    for secret in secrets:
        register_secret(secret)
    if problems:
        raise SettingsError(problems, warnings)
    sources = {path: document.source_of(path) for path, _ in values(settings)}
    return Loaded(settings, tuple(dict.fromkeys(warnings)), sources, interpolated)


def values(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every effective value with its path; lists of tables and maps are taken apart, other lists are values."""
    for name, info in type(section).model_fields.items():
        value, path = getattr(section, name), f"{prefix}{name}"
        if subsection(info) is not None:
            yield from values(value, f"{path}.")
        elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
            for index, item in enumerate(value):
                yield from values(item, f"{path}[{index}].")
        elif isinstance(value, dict) and value:
            yield from _map_values(value, path)
        else:
            yield path, value


def _map_values(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - free-form tables
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _map_values(item, f"{path}.{name}")
    else:
        yield path, value


def _typed(document: Document) -> tuple[Settings, list[Problem]]:
    """The typed tree; values that cannot be decoded are reported and replaced by their defaults."""
    try:
        return Settings.model_validate(document.table), []
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"])[1:]
            problems.append(_type_problem(path, detail["msg"], document))
            _remove(document.table, detail["loc"])
    try:
        return Settings.model_validate(document.table), problems
    except ValidationError:
        # Taking one element out of a list moves the others; the first round has named everything anyway.
        return Settings(), problems


def _type_problem(path: str, message: str, document: Document) -> Problem:
    text = re.sub(r"^Value error, ", "", message)
    if "valid dictionary" in text:
        text = "expected a table"
    info = keys_by_path().get(without_indexes(path))
    if info is not None and info.kind == SECRET:
        text = "expected a string"
    kind = f" ({info.kind})" if info is not None else ""
    return Problem(
        TYPE,
        path,
        document.source_of(path),
        f"failed to unmarshal config: {path}: {text}",
        f"Give {path} a value of its type{kind}",
    )


def _remove(table: Any, location: tuple[int | str, ...]) -> None:  # noqa: ANN401 - raw TOML
    *parents, last = location
    for part in parents:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(table, dict):
        table.pop(last, None)
    elif isinstance(table, list) and isinstance(last, int) and last < len(table):
        table[last] = ""
