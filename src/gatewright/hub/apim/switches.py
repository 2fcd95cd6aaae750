"""What a stand-in can be told to do wrong. Every switch has a few named values, the first of which is the honest one.

A value may end in `:N`: it then holds for the next N uses and falls back to the honest one by itself.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

SWITCHES: Final[dict[str, tuple[str, ...]]] = {
    "echo_on_import": ("never", "after", "before"),
    "duplicate_events": ("off", "on"),
    "undeploy_id_mode": ("matching", "mismatching"),
    "well_known": ("normal", "leading_slash", "404", "503", "empty_path", "slow"),
    "ws_reject": ("none", "4401", "401", "no_ack", "wrong_first", "no_pings"),
    "token_mode": ("normal", "401", "500", "malformed", "no_token", "expires_1", "public_ropc"),
    "import_mode": ("normal", "503", "409", "500", "text", "slow", "empty"),
    "swagger_mode": ("normal", "404", "500"),
    "undeploy_mode": ("201", "200", "404", "500"),
    "api_keys_mode": ("array", "empty", "404", "upper_case", "wrapped"),
    "context_mode": ("as_given", "append_version"),
    "duplicate_context": ("refused", "allowed"),
    "retry_after": ("none", "1", "2", "5", "30"),
}
"""Name → values.

`echo_on_import`: `api.deployed` for an API that a gateway imported itself, after or before the import is answered.
`import_mode`: `text`, `slow` and `empty` import and only answer wrongly; the others refuse and change nothing.
`duplicate_context`: a second API, of another name, with the context of the first.
`retry_after`: seconds that a 503 tells.
"""

MAX_USES: Final = 1_000_000


class SwitchProblem(ValueError):
    """A switch or value that does not exist. The text names what does."""


class _Position(msgspec.Struct, frozen=True):
    value: str
    uses: int | None = None

    @property
    def text(self) -> str:
        return self.value if self.uses is None else f"{self.value}:{self.uses}"


class SwitchBoard:
    """The switches of one stand-in, turned at its start and while it runs."""

    def __init__(self, positions: Mapping[str, str]) -> None:
        self._positions: dict[str, _Position] = {}
        self.turn(positions)

    def turn(self, positions: Mapping[str, str]) -> None:
        """Turn some switches. Raises SwitchProblem, and then none is turned."""
        self._positions.update({name: _parsed(name, text) for name, text in positions.items()})

    def reset(self) -> None:
        """Make everything honest again."""
        self._positions.clear()

    def peek(self, name: str) -> str:
        """The value that the next use will meet."""
        position = self._positions.get(name)
        return SWITCHES[name][0] if position is None else position.value

    def use(self, name: str) -> str:
        """The value for this use."""
        position = self._positions.get(name)
        if position is None:
            return SWITCHES[name][0]
        if position.uses is not None:
            if position.uses == 1:
                del self._positions[name]
            else:
                self._positions[name] = _Position(position.value, position.uses - 1)
        return position.value

    def positions(self) -> dict[str, str]:
        """Every switch with its value."""
        return {
            name: self._positions[name].text if name in self._positions else values[0]
            for name, values in SWITCHES.items()
        }


def _parsed(name: str, text: str) -> _Position:
    values = SWITCHES.get(name)
    if values is None:
        raise SwitchProblem(f"There is no switch {name!r}; there are {', '.join(SWITCHES)}.")
    value, colon, uses = text.partition(":")
    if value not in values:
        raise SwitchProblem(f"{name} cannot be {value!r}; it is one of {', '.join(values)}.")
    if not colon:
        return _Position(value)
    if not uses.isascii() or not uses.isdigit() or not 1 <= int(uses) <= MAX_USES:
        raise SwitchProblem(f"{name}: the number of uses after the colon must be 1 to {MAX_USES}.")
    return _Position(value, int(uses))
