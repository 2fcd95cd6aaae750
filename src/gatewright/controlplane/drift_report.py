"""What a comparison of control plane, store and routers finds, as plain values. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

MOST_ARTIFACTS: Final = 500
"""Different artifacts that are told; further ones are only counted."""

Place = Literal["store", "routers", "control_plane"]
"""Where it is not as it should be."""

Code = Literal[
    "MISSING",
    "EXTRA",
    "FIELD",
    "STATE",
    "DEPLOYMENT",
    "NEWER",
    "UNUSABLE",
    "NO_DOCUMENT",
    "UNSENT",
    "REFUSED",
    "PENDING",
    "NOT_SERVING",
    "STILL_SERVING",
]


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that is not as it should be.

    `wanted` and `found` are values where there are two; one that is not there is left out. `field` is the path in the
    document for FIELD. `router` names the router that it is about.
    """

    place: Place
    code: Code
    message: str
    field: str = ""
    wanted: Any = msgspec.UNSET
    found: Any = msgspec.UNSET
    router: str = ""


class ArtifactDrift(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An artifact that differs. `more`: differences that are not told any more.

    `id` is the local UUID, or the control plane's for what is not here.
    """

    kind: str
    handle: str
    id: str
    differences: tuple[Difference, ...]
    more: int = 0


class Drift(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole comparison. `problems` say why it is incomplete; `unknown` are names that nothing has.

    `more`: different artifacts that are not told any more. `routers`: how many took part.
    """

    at: datetime
    host: str
    compared: int
    different: int
    routers: int
    artifacts: tuple[ArtifactDrift, ...] = ()
    more: int = 0
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Complete, and without any difference."""
        return not (self.different or self.problems or self.unknown)


def plain(drift: Drift) -> Mapping[str, Any]:
    """Ready for JSON."""
    tree: dict[str, Any] = msgspec.to_builtins(drift)
    return {"same": drift.same, **tree}
