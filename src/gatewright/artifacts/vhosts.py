"""Virtual hosts of an API: defaults, the sentinel for "the gateway's default", and the effective names.

Pure; the defaults are arguments. Sources: management API reference 8.1, data-plane reference section 3.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

SENTINEL = "_gateway_default_"


class VhostDefaults(msgspec.Struct, frozen=True):
    """The router's default names. An empty `sandbox` means that there is no default sandbox host."""

    main: str = "*"
    sandbox: str = "sandbox-*"


class Vhosts(msgspec.Struct, frozen=True):
    """Effective names: `main` has at least one, in the order written, without repetitions."""

    main: tuple[str, ...]
    sandbox: str | None = None


def split_vhosts(text: str) -> tuple[str, ...]:
    """Names separated by `;`: trimmed, empty ones dropped, repetitions removed, order kept."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(";") if name.strip()))


def effective_vhosts(raw: Mapping[str, Any] | None, defaults: VhostDefaults) -> Vhosts:
    """What the data plane uses for a `spec.vhosts` (None when absent)."""
    written = raw or {}
    main = written.get("main") or SENTINEL
    sandbox = (written.get("sandbox") or SENTINEL).strip()
    return Vhosts(
        main=split_vhosts(defaults.main if main.strip() == SENTINEL else main) or (defaults.main or "*",),
        sandbox=(defaults.sandbox if sandbox in {"", SENTINEL} else sandbox) or None,
    )


def materialised(spec: Mapping[str, Any], defaults: VhostDefaults) -> dict[str, Any]:
    """A copy of `spec` with `vhosts` written out, which freezes routing against later changes of the defaults.

    The original does this when an artifact is created, and only then.
    """
    written = spec.get("vhosts")
    if written is None:
        vhosts = {"main": defaults.main, "sandbox": defaults.sandbox}
    else:
        vhosts = {
            key: getattr(defaults, key) if value == SENTINEL and key in {"main", "sandbox"} else value
            for key, value in written.items()
        }
    if not vhosts.get("sandbox", ""):
        vhosts.pop("sandbox", None)
    return {**spec, "vhosts": vhosts}
