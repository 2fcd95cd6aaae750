"""What `gatewright config show` and `gatewright config check` print, as data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from gatewright.observability.redaction import MASK, mask_secrets
from gatewright.settings.durations import format_duration
from gatewright.settings.loading import Loaded, load, values
from gatewright.settings.problems import Problem, SettingsError

_FREE_FORM = ("policy_configurations.", "gateway_controller.")
_SECRET_LIKE = re.compile(r"passw|secret|token|credential|api_?key|private_?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ShownValue:
    """One effective value, fit to be printed."""

    key: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is wrong or doubtful about a configuration."""

    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether a gateway would start with it."""
        return not self.problems


def show(loaded: Loaded) -> tuple[ShownValue, ...]:
    """Every effective value in the order of the tree, secrets redacted."""
    return tuple(
        ShownValue(path, _printable(path, value, loaded), loaded.sources[path])
        for path, value in values(loaded.settings)
    )


def check(files: Sequence[Path], environ: Mapping[str, str], *, strict: bool = False) -> Report:
    """Load and report; raises nothing."""
    try:
        loaded = load(files, environ, strict=strict)
    except SettingsError as error:
        return Report(error.problems, error.warnings)
    return Report((), loaded.warnings)


def _printable(path: str, value: object, loaded: Loaded) -> str:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if path.startswith(_FREE_FORM) and (_SECRET_LIKE.search(path) or path in loaded.interpolated.expanded):
        # Free-form tables have no types to go by; what came out of a token is not printed either.
        return MASK if value not in ("", None) else ""
    return mask_secrets(_plain(value))


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return "{}" if value == {} else str(value)
