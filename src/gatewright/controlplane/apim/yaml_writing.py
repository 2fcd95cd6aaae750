"""YAML that every reader takes alike, whatever version of YAML it knows. Pure.

Texts that any reader could take for a number, a date or a truth value are quoted; keys are sorted, so that equal data
gives equal bytes.
"""

import re
from typing import Any, Final

import yaml

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.\- ]*[A-Za-z0-9_]|[A-Za-z_/]")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"})
_WIDTH: Final = 1_000_000
_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]  # the C class has no stub
    """Its own class, for representers are kept by class."""

    def ignore_aliases(self, _data: object) -> bool:
        """Never anchors: not every reader follows them."""
        return True


def _text(dumper: Any, value: str) -> Any:  # noqa: ANN401 - PyYAML's own types
    plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)


def to_yaml(tree: dict[str, Any]) -> bytes:
    """UTF-8 in block style."""
    made: bytes = yaml.dump(
        tree, Dumper=_Dumper, indent=4, default_flow_style=False, sort_keys=True, width=_WIDTH, encoding="utf-8"
    )
    return made
