"""Environment variables laid over the files: every spelling that any version or guide of the original used.

The tolerant resolution of section 1.12: names match exactly once runs of underscores are collapsed, never by
prefix or likeness. Pure; values never appear in a warning.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gatewright.settings.documents import Document, nearest
from gatewright.settings.own import ENVOY_LEVELS
from gatewright.settings.schema import ENV_PREFIX, KeyInfo, canonical_names

HOST = "controller.controlplane.host"
USERS = "controller.auth.basic.users"
CHART_PORT = "8443"
"""What the charts up to 1.1.3 render as port when the user gave none; the original never read it."""

_DEVELOPMENT = "DEVELOPMENT_MODE"
_SHORT_NAMES = {
    "CONTROLPLANE_HOST": HOST,
    "GATEWAY_REGISTRATION_TOKEN": "controller.controlplane.token",
    "RECONNECT_INITIAL": "controller.controlplane.reconnect_initial",
    "RECONNECT_MAX": "controller.controlplane.reconnect_max",
    "POLLING_INTERVAL": "controller.controlplane.polling_interval",
    "INSECURE_SKIP_VERIFY": "controller.controlplane.insecure_skip_verify",
    "ROUTER_RE2_MAX_PROGRAM_SIZE": "gatewright.envoy.re2_max_program_size",
    _DEVELOPMENT: "gatewright.generate_encryption_keys",
}
_PORT_NAME = "CONTROLPLANE_PORT"
_ADMIN_NAMES = ("CONTROLLER_AUTH_BASIC_ADMIN_USERNAME", "CONTROLLER_AUTH_BASIC_ADMIN_PASSWORD_HASH")
_RUNTIME_NAMES = {
    "GATEWAY_CONTROLLER_HOST": "gatewright.remote_controller.host",
    "ROUTER_XDS_PORT": "gatewright.remote_controller.xds_port",
    "LOG_LEVEL": "gatewright.envoy.log_level",
    "ROUTER_CONCURRENCY": "gatewright.envoy.concurrency",
    "ROUTER_ADMIN_ENABLED": "gatewright.envoy.admin_enabled",
    "ROUTER_ADMIN_HOST": "gatewright.envoy.admin_host",
    "ROUTER_ADMIN_PORT": "gatewright.envoy.admin_port",
    "ROUTER_DRAIN_TIME_SECONDS": "gatewright.envoy.drain_time_seconds",
}
"""Variables of the original's runtime image, which have no prefix."""

_LINK_SCHEMES = ("tcp://", "udp://", "sctp://")
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    variable: str
    value: str
    rank: int
    """0: spelling of 1.2; 1: spelling of 1.1; 2: short name; 3: anything else that collapses to the same."""


@dataclass(slots=True)
class Resolved:
    """Variables by the key they set, before anything is changed."""

    by_path: dict[str, list[_Candidate]] = field(default_factory=dict)
    port: list[_Candidate] = field(default_factory=list)
    admin: dict[str, list[_Candidate]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def overlay_environment(document: Document, environ: Mapping[str, str], *, strict: bool = False) -> list[str]:
    """Set what `environ` says in `document` and return the warnings. Values given here win over files.

    `strict`: only the variables of the original's runtime image, which never were part of the files.
    """
    if strict:
        environ = {name: value for name, value in environ.items() if name in _RUNTIME_NAMES}
    resolved = resolve(environ)
    warnings = [_unknown_warning(name) for name in resolved.unknown]
    names = {info.path: info for info in canonical_names().values()}
    for path, candidates in resolved.by_path.items():
        chosen = _choose(candidates, path, warnings)
        document.put(path, _raw(chosen.value, names[path]), chosen.variable)
    _join_port(document, resolved.port, warnings)
    _first_user(document, {name: _choose(found, USERS, warnings) for name, found in resolved.admin.items()})
    return warnings


def resolve(environ: Mapping[str, str]) -> Resolved:
    """Sort the variables by what they mean. Empty values and Kubernetes service links are passed over."""
    resolved = Resolved()
    for variable in sorted(environ):
        value = environ[variable]
        if not value:
            continue
        if variable in _RUNTIME_NAMES:
            if _is_meant_for_us(variable, value):
                resolved.by_path.setdefault(_RUNTIME_NAMES[variable], []).append(_Candidate(variable, value, 2))
        elif variable.startswith(ENV_PREFIX):
            _sort_in(resolved, variable, value)
    return resolved


def variable_names(path: str) -> tuple[str, ...]:
    """The names that set `path`, preferred first; for texts that tell people what to set."""
    info = next((info for info in canonical_names().values() if info.path == path), None)
    short = [ENV_PREFIX + name for name, target in _SHORT_NAMES.items() if target == path]
    runtime = [name for name, target in _RUNTIME_NAMES.items() if target == path]
    return (*((info.variable,) if info else ()), *short, *runtime)


def _is_meant_for_us(variable: str, value: str) -> bool:
    """The names without prefix are common words: a value that cannot be ours belongs to something else."""
    if variable == "LOG_LEVEL":
        return value in ENVOY_LEVELS
    return not (variable.endswith("_PORT") and value.startswith(_LINK_SCHEMES))


def _sort_in(resolved: Resolved, variable: str, value: str) -> None:
    remainder = variable[len(ENV_PREFIX) :].upper()
    name = re.sub(r"_+", "_", remainder).strip("_")
    if name.endswith("_PORT") and value.startswith(_LINK_SCHEMES):
        return
    info = canonical_names().get(name)
    if info is not None:
        candidate = _Candidate(variable, value, _rank(variable, info))
        resolved.by_path.setdefault(info.path, []).append(candidate)
        return
    short = _Candidate(variable, value, 2 if variable == ENV_PREFIX + name else 3)
    if name == _DEVELOPMENT and value.lower() != "true":
        return  # any other word meant false, and false is what an unset variable means too
    if name in _SHORT_NAMES:
        resolved.by_path.setdefault(_SHORT_NAMES[name], []).append(short)
    elif name == _PORT_NAME:
        resolved.port.append(short)
    elif name in _ADMIN_NAMES:
        resolved.admin.setdefault(name, []).append(short)
    elif not _SERVICE_LINK.search(name):
        resolved.unknown.append(variable)


def _rank(variable: str, info: KeyInfo) -> int:
    if variable == info.variable:
        return 0
    double = ENV_PREFIX + info.path.replace("_", "__").replace(".", "_").upper()
    return 1 if variable == double else 3


def _choose(candidates: Iterable[_Candidate], path: str, warnings: list[str]) -> _Candidate:
    ordered = sorted(candidates, key=lambda item: (item.rank, item.variable))
    chosen = ordered[0]
    if any(item.value != chosen.value for item in ordered):
        names = ", ".join(item.variable for item in ordered)
        warnings.append(f"{names} give different values for {path}; {chosen.variable} is used")
    return chosen


def _raw(value: str, info: KeyInfo) -> object:
    if info.kind == "bool" and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if info.kind.startswith("list"):
        return [part.strip() for part in value.split(",")]
    return value


def _join_port(document: Document, candidates: list[_Candidate], warnings: list[str]) -> None:
    if not candidates:
        return
    chosen = _choose(candidates, "the control plane's port", warnings)
    host = document.get(HOST)
    if not isinstance(host, str) or not host or has_port(host):
        return
    if chosen.value == CHART_PORT:
        warnings.append(
            f"{chosen.variable}={CHART_PORT} is not added to {HOST}: older charts set it for everyone and the "
            f"original never used it. Write the port into the host if it is meant",
        )
        return
    document.put(HOST, f"{host}:{chosen.value}", f"{document.source_of(HOST)} and {chosen.variable}")


def has_port(authority: str) -> bool:
    """Whether `authority` (host, host:port, [address], [address]:port) names a port."""
    if authority.startswith("["):
        return "]:" in authority
    return authority.count(":") == 1


def _first_user(document: Document, chosen: Mapping[str, _Candidate]) -> None:
    if not chosen:
        return
    listed = document.get(USERS)
    users = [dict(user) if isinstance(user, dict) else user for user in listed] if isinstance(listed, list) else []
    if not users or not isinstance(users[0], dict):
        users[:1] = [{}]
    name, password = (chosen.get(item) for item in _ADMIN_NAMES)
    changed: list[tuple[str, object, str]] = []
    if name is not None:
        changed.append(("username", name.value, name.variable))
    if password is not None:
        changed.append(("password", password.value, password.variable))
        changed.append(("password_hashed", True, password.variable))
    changed.append(("roles", ["admin"], changed[0][2]))
    sources = dict(document.sources)
    users[0].update({field_name: value for field_name, value, _ in changed})
    document.put(USERS, users, changed[0][2])
    document.sources.update({path: origin for path, origin in sources.items() if path.startswith(f"{USERS}[")})
    for field_name, _, variable in changed:
        document.sources[f"{USERS}[0].{field_name}"] = variable


def _unknown_warning(variable: str) -> str:
    name = re.sub(r"_+", "_", variable[len(ENV_PREFIX) :].upper()).strip("_")
    known = [*canonical_names(), *_SHORT_NAMES, *_ADMIN_NAMES]
    close = nearest(name, known, 0.75)
    hint = f"; did you mean {ENV_PREFIX}{close}?" if close else ""
    return f"environment variable {variable} is not known and is ignored{hint}"
