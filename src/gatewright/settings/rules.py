"""Whether typed settings make sense: the constraint of each key, then the rules between keys.

The texts are the original's where it has one (sections 1.6 to 1.10); unlike it, every finding is reported at
once. Pure.
"""

from collections.abc import Callable, Iterator
from typing import Any

from gatewright.settings.documents import Document
from gatewright.settings.environment import variable_names
from gatewright.settings.kinds import Section
from gatewright.settings.problems import VALUE, Problem
from gatewright.settings.rules_between import RULES, Finding
from gatewright.settings.schema import keys_by_path, subsection, without_indexes
from gatewright.settings.tree import Settings

_CONDITIONS: dict[str, Callable[[Settings], bool]] = {
    "controller.controlplane.host is set": lambda s: bool(s.controller.controlplane.host),
    "controller.storage.type is postgres": lambda s: s.controller.storage.type == "postgres",
    "controller.admin_server.enabled": lambda s: s.controller.admin_server.enabled,
    "controller.metrics.enabled": lambda s: s.controller.metrics.enabled,
    "controller.auth.idp.enabled": lambda s: s.controller.auth.idp.enabled,
    "router.https_enabled": lambda s: s.router.https_enabled,
    "the collector is in use": lambda s: s.analytics.enabled or s.traffic_logging.enabled,
    "tracing.enabled": lambda s: s.tracing.enabled,
    "analytics publishes to moesif": lambda s: s.analytics.enabled and "moesif" in s.analytics.enabled_publishers,
    "traffic_logging writes to http": lambda s: s.traffic_logging.enabled and "http" in s.traffic_logging.outputs,
    "policy_engine.server.mode is tcp": lambda s: s.policy_engine.server.mode == "tcp",
    "policy_engine.admin.enabled": lambda s: s.policy_engine.admin.enabled,
    "policy_engine.metrics.enabled": lambda s: s.policy_engine.metrics.enabled,
    "policy_engine.config_mode.mode is file": lambda s: s.policy_engine.config_mode.mode == "file",
    "policy_engine.xds.tls.enabled": lambda s: s.policy_engine.xds.tls.enabled,
    "policy_engine.python_executor.server.mode is tcp": (
        lambda s: s.policy_engine.python_executor.server.mode == "tcp"
    ),
}
"""What the `when` of a constraint names."""


def judge(settings: Settings, document: Document) -> list[Problem]:
    """Every reason why `settings` cannot be used; `document` says where the values came from."""
    findings = [*_constraints(settings), *(finding for rule in RULES for finding in rule(settings))]
    return [
        Problem(
            code=VALUE,
            key=finding.key,
            source=document.source_of(finding.key),
            message=finding.message,
            remedy=finding.remedy or _remedy(finding.key),
        )
        for finding in dict.fromkeys(findings)
    ]


def conditions() -> frozenset[str]:
    """The names that a constraint may use; a test holds the tree against it."""
    return frozenset(_CONDITIONS)


def _constraints(settings: Settings) -> Iterator[Finding]:
    active = {"": True} | {name: condition(settings) for name, condition in _CONDITIONS.items()}
    known = keys_by_path()
    for path, value in _values(settings, ""):
        for constraint in known[without_indexes(path)].constraints:
            complaint = constraint.complaint(value) if active[constraint.when] else None
            if complaint:
                yield Finding(path, f"{path.removeprefix('controller.')} {complaint}")


def _values(section: Section, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, info in type(section).model_fields.items():
        value, path = getattr(section, name), f"{prefix}{name}"
        if subsection(info) is not None:
            yield from _values(value, f"{path}.")
            continue
        yield path, value
        if isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _values(item, f"{path}[{index}].")


def _remedy(path: str) -> str:
    info = keys_by_path().get(without_indexes(path))
    if info is None:
        return ""
    allowed = "; ".join(item.allowed for item in info.constraints)
    names = variable_names(path)
    where = f"in the configuration file, or in {names[0]}" if names else "in the configuration file"
    return f"Set {path} {where}" + (f" (allowed: {allowed})" if allowed else "")
