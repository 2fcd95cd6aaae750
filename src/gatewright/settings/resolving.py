"""Steps between the merged files and the typed tree: tokens, defaults that merge, and values that stand in.

Everything here works on a `Document` of raw values. Pure, except that `{{ file }}` tokens read their files.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import SecretStr

from gatewright.settings.decoding import weak_bool
from gatewright.settings.documents import Document, leaves
from gatewright.settings.interpolation import InterpolationError, Interpolator
from gatewright.settings.kinds import Section
from gatewright.settings.problems import INTERPOLATION, Problem
from gatewright.settings.schema import keys, subsection
from gatewright.settings.shared import Collector

HOST = "controller.controlplane.host"
_NAME = "controller.controlplane.gateway_name"
_OLD_NAME = "controller.gateway_name"
_POSTGRES = "controller.storage.postgres"
_PLACEHOLDERS = {
    "controller.controlplane.apim_oauth2_client_id": "your-client-id",
    "controller.controlplane.apim_oauth2_client_secret": "your-client-secret",  # the literal of a shipped file
}
_OLDER_ANALYTICS = {
    "allow_payloads": ("collector.request_body", "collector.response_body"),
    "send_request_body": ("collector.request_body",),
    "send_response_body": ("collector.response_body",),
}
_DSN_SCHEMES = ("postgres", "postgresql", "sqlserver")


@dataclass(slots=True)
class Interpolated:
    """What the tokens of all files referred to."""

    env_refs: int = 0
    file_refs: int = 0
    fields: int = 0
    expanded: set[str] = field(default_factory=set)
    """Key paths whose value came out of a token; such values are treated as possibly secret."""


def interpolate(document: Document, interpolator: Interpolator) -> tuple[Interpolated, list[Problem]]:
    """Expand every string in place. A value that cannot be expanded is taken out and reported."""
    counts, problems = Interpolated(), []

    def expand(value: Any, path: str) -> Any:  # noqa: ANN401 - raw TOML
        if isinstance(value, dict):
            return {name: expand(item, f"{path}.{name}" if path else name) for name, item in value.items()}
        if isinstance(value, list):
            return [expand(item, f"{path}[{index}]") for index, item in enumerate(value)]
        if not isinstance(value, str) or "{{" not in value:
            return value
        try:
            text = interpolator.expand(value)
        except InterpolationError as error:
            source = document.source_of(path)
            problems.append(
                Problem(
                    INTERPOLATION,
                    path,
                    source,
                    f'config interpolation failed at "{path}": {error}',
                    "Provide what the token asks for, or give the token a default",
                ),
            )
            return ""
        counts.fields += 1
        counts.env_refs += len(interpolator.variables)
        counts.file_refs += len(interpolator.files)
        origins = [*interpolator.variables, *interpolator.files]
        if origins:
            counts.expanded.add(path)
            document.sources[path] = f"{document.source_of(path)} ({', '.join(origins)})"
        return text

    document.table = expand(document.table, "")
    return counts, problems


def fill_defaults(document: Document) -> None:
    """Maps and lists of tables whose default is not empty: the default stays where the file is silent."""
    for info in keys():
        given = document.get(info.path) if "[]" not in info.path else None
        if isinstance(given, dict) and isinstance(info.default, dict) and info.default:
            _put_keeping_sources(document, info.path, {**info.default, **given})
        elif isinstance(given, list) and info.kind == "list of table" and info.default:
            _put_keeping_sources(document, info.path, _overlay_items(info.default, given))


def stand_in(document: Document) -> list[str]:
    """Values that take the place of others, as the tolerant rules have it. Returns warnings."""
    warnings: list[str] = []
    if not _text(document, _NAME) and _text(document, _OLD_NAME):
        document.put(_NAME, document.get(_OLD_NAME), document.source_of(_OLD_NAME))
    for path, literal in _PLACEHOLDERS.items():
        if _text(document, path) == literal:
            warnings.append(f"{document.source_of(path)}: {path} still holds the placeholder of the sample file")
            document.put(path, "", document.source_of(path))
    host = _text(document, HOST)
    if "://" in host:
        authority = urlsplit(host).netloc or host.partition("://")[2]
        warnings.append(f"{document.source_of(HOST)}: {HOST} must be host or host:port; the scheme is left out")
        document.put(HOST, authority, document.source_of(HOST))
    _postgres_password(document)
    return warnings + _older_analytics(document)


def _older_analytics(document: Document) -> list[str]:
    """Deprecated analytics keys move to the collector, only while analytics is on, as in the original."""
    warnings: list[str] = []
    if not _true(document, "analytics.enabled"):
        return warnings
    for old, targets in _OLDER_ANALYTICS.items():
        if _true(document, f"analytics.{old}"):
            source = document.source_of(f"analytics.{old}")
            warnings.append(f"{source}: analytics.{old} is deprecated; use {' and '.join(targets)}")
            for target in targets:
                document.put(target, True, source)
    older = document.get("analytics.grpc_event_server") or document.get("analytics.access_logs_service")
    if isinstance(older, dict) and document.get("collector.server") is None:
        warnings.append("analytics.grpc_event_server and access_logs_service are deprecated; use collector.server")
        known = subsection(Collector.model_fields["server"])
        for name, value in older.items():
            if known is not None and name in known.model_fields:
                document.put(f"collector.server.{name}", value, document.source_of("analytics.grpc_event_server"))
    return warnings


def _true(document: Document, path: str) -> bool:
    try:
        return weak_bool(document.get(path))
    except ValueError:
        return False


def _postgres_password(document: Document) -> None:
    """A password that is a whole URL is the dsn; a dsn without password gets the password."""
    password, dsn = _text(document, f"{_POSTGRES}.password"), _text(document, f"{_POSTGRES}.dsn")
    if not password:
        return
    source = document.source_of(f"{_POSTGRES}.password")
    if password.partition("://")[0] in _DSN_SCHEMES and "://" in password:
        document.put(f"{_POSTGRES}.dsn", password, source)
        document.put(f"{_POSTGRES}.password", "", source)
        return
    try:
        parts = urlsplit(dsn)
        lacks = bool(parts.scheme and parts.username and not parts.password)
    except ValueError:
        return
    if lacks:
        user, _, server = parts.netloc.rpartition("@")
        netloc = f"{user.partition(':')[0]}:{quote(password, safe='')}@{server}"
        document.put(f"{_POSTGRES}.dsn", urlunsplit(parts._replace(netloc=netloc)), source)


def _text(document: Document, path: str) -> str:
    value = document.get(path)
    return value if isinstance(value, str) else ""


def _put_keeping_sources(document: Document, path: str, value: Any) -> None:  # noqa: ANN401 - raw TOML
    given = {name: source for name, source in document.sources.items() if name.startswith(path)}
    document.put(path, value, "default")
    for leaf in leaves(value, path):
        document.sources.pop(leaf, None)
    document.sources.update(given)


def _overlay_items(defaults: tuple[Section, ...], given: list[Any]) -> list[Any]:
    items = []
    for index, item in enumerate(given):
        base = as_raw(defaults[index]) if index < len(defaults) else {}
        items.append(_overlay(base, item) if isinstance(item, dict) else item)
    return items


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        current = merged.get(name)
        if isinstance(current, list) and isinstance(value, list) and all(isinstance(item, dict) for item in value):
            merged[name] = [
                _overlay(current[index], item) if index < len(current) else item for index, item in enumerate(value)
            ]
        else:
            merged[name] = value
    return merged


def as_raw(value: Any) -> Any:  # noqa: ANN401 - the inverse of decoding
    """Typed settings as raw tables again; secrets in clear."""
    if isinstance(value, Section):
        return {name: as_raw(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple):
        return [as_raw(item) for item in value]
    return value.get_secret_value() if isinstance(value, SecretStr) else value
