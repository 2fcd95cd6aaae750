"""Configuration: one typed tree from TOML files and the environment, in every spelling the original knows.

This room knows the original's names so that no other has to. It reads the files it is told to, and those that a
`{{ file }}` token names; it writes nothing. Importing the package is cheap: the tree is built at first use.

    load(files, environ)            → Loaded(settings, warnings, sources), or SettingsError(problems)
    load_values(values, environ)    the same from Helm values
    check(files, environ)           → Report(problems, warnings): never raises
    show(loaded)                    → rows of key, value (secrets redacted), source
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatewright.settings.helm import load_values
    from gatewright.settings.loading import Loaded, load
    from gatewright.settings.problems import Problem, SettingsError
    from gatewright.settings.showing import Report, ShownValue, check, show
    from gatewright.settings.tree import Settings

__all__ = [
    "Loaded",
    "Problem",
    "Report",
    "Settings",
    "SettingsError",
    "ShownValue",
    "check",
    "load",
    "load_values",
    "show",
]

_HOMES = {
    "Loaded": "loading",
    "load": "loading",
    "load_values": "helm",
    "Problem": "problems",
    "SettingsError": "problems",
    "Report": "showing",
    "ShownValue": "showing",
    "check": "showing",
    "show": "showing",
    "Settings": "tree",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each name has its type in the imports above
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only needed for the first use of a name

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
