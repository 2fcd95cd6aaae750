"""Upstreams as documents describe them: slots (`main`, `sandbox`) and named definitions, typed.

Pure. Source: management API reference, section 6.9. The rules are in `upstream_rules.py`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gatewright.artifacts.durations import duration_ms


class UpstreamSlot(msgspec.Struct, frozen=True):
    """Where `main` or `sandbox` goes: exactly one of `url` and `ref` is not None, both without surrounding blanks.

    `host_rewrite` is `auto`, `manual` or any other text that the document holds (= auto).
    """

    url: str | None = None
    ref: str | None = None
    host_rewrite: str = "auto"


class UpstreamTarget(msgspec.Struct, frozen=True):
    """One endpoint: scheme, host and optional port. `weight` is 0 to 100, None when absent."""

    url: str
    weight: int | None = None


class UpstreamDefinition(msgspec.Struct, frozen=True):
    """A named set of endpoints. `base_path` is empty for the root and has no trailing slash otherwise."""

    name: str
    targets: tuple[UpstreamTarget, ...]
    base_path: str = ""
    connect_timeout_ms: int | None = None


def read_slot(raw: Mapping[str, Any]) -> UpstreamSlot:
    """Type a valid slot."""
    url, ref = raw.get("url"), raw.get("ref")
    return UpstreamSlot(
        url=url.strip() if url is not None else None,
        ref=ref.strip() if ref is not None else None,
        host_rewrite=raw.get("hostRewrite") or "auto",
    )


def read_definition(raw: Mapping[str, Any]) -> UpstreamDefinition:
    """Type a valid definition."""
    connect = ((raw.get("timeout") or {}).get("connect") or "").strip()
    return UpstreamDefinition(
        name=raw["name"],
        targets=tuple(UpstreamTarget(url=t["url"].strip(), weight=t.get("weight")) for t in raw.get("upstreams") or ()),
        base_path=raw.get("basePath") or "",
        connect_timeout_ms=duration_ms(connect) if connect else None,
    )
