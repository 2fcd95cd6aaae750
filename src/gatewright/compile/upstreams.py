"""Upstream slots and definitions → model upstreams with content-derived names.

Source: data-plane reference, sections 8.1 and 8.2. Differs from the original on purpose: a slot that refers to a
definition uses all its endpoints with their weights, weight 0 takes an endpoint out, equal upstreams share one
cluster and different ones (scheme, timeout) never do. Pure.
"""

import hashlib

import msgspec

from gatewright.artifacts.restapi import RestApi
from gatewright.artifacts.upstreams import UpstreamDefinition, UpstreamSlot
from gatewright.artifacts.urls import Url, UrlError, parse_url
from gatewright.compile.errors import CompileError
from gatewright.compile.paths import check_path
from gatewright.model.upstreams import Endpoint, Upstream

DEFAULT_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True):
    """Where a slot leads: the upstream, the base path ("" for the root) and how the Host header is treated."""

    upstream: Upstream
    base_path: str
    manual_host: bool


def slot_target(api: RestApi, slot: UpstreamSlot, field: str, *, default_connect_ms: int) -> Target:
    """Resolve `main` or `sandbox`. Raises CompileError."""
    manual = slot.host_rewrite == "manual"
    if slot.ref:
        definition = api.definition(slot.ref)
        if definition is None:
            raise CompileError(
                "UPSTREAM_REF_UNKNOWN",
                f"there is no upstream definition {slot.ref!r}",
                f"{field}.ref",
                "Add it to spec.upstreamDefinitions or correct the name",
            )
        upstream = definition_upstream(api, definition, default_connect_ms=default_connect_ms)
        return Target(upstream, definition.base_path.rstrip("/"), manual)
    url = _url(slot.url or "", f"{field}.url")
    check_path(url.path, f"{field}.url")
    endpoint = Endpoint(url.host.lower(), url.port or DEFAULT_PORTS[url.scheme])
    return Target(_named((endpoint,), url.scheme == "https", default_connect_ms), url.path.rstrip("/"), manual)


def definition_upstream(api: RestApi, definition: UpstreamDefinition, *, default_connect_ms: int) -> Upstream:
    """All endpoints of a definition. Raises CompileError."""
    index = api.upstream_definitions.index(definition)
    where = f"spec.upstreamDefinitions[{index}]"
    urls = [_url(t.url, f"{where}.upstreams[{i}].url") for i, t in enumerate(definition.targets)]
    if not urls:
        raise CompileError("UPSTREAM_EMPTY", "the definition has no endpoints", where, "Add at least one URL")
    if len({url.scheme for url in urls}) > 1:
        raise CompileError(
            "UPSTREAM_MIXED_SCHEMES",
            f"the definition {definition.name!r} mixes http and https endpoints",
            f"{where}.upstreams",
            "Use one scheme for all endpoints of a definition, or two definitions",
        )
    weights = [target.weight for target in definition.targets]
    endpoints = [
        Endpoint(url.host.lower(), url.port or DEFAULT_PORTS[url.scheme], weight)
        for url, weight in zip(urls, weights, strict=True)
    ]
    used = [e for e in endpoints if e.weight != 0] or [msgspec.structs.replace(e, weight=None) for e in endpoints]
    check_path(definition.base_path, f"{where}.basePath")
    return _named(tuple(used), urls[0].scheme == "https", definition.connect_timeout_ms or default_connect_ms)


def _url(text: str, field: str) -> Url:
    try:
        url = parse_url(text)
    except UrlError as error:
        raise CompileError("UPSTREAM_URL", str(error), field, "Write http://host[:port]/path") from None
    if url.scheme not in DEFAULT_PORTS or not url.host:
        raise CompileError("UPSTREAM_URL", f"{text!r} is not an http or https URL", field, "Write http://host[:port]")
    if url.port is not None and not 0 < url.port < 65536:
        raise CompileError("UPSTREAM_URL", f"port {url.port} does not exist", field, "Use a port from 1 to 65535")
    if len(url.host) > 255 or not url.host.isprintable() or "%" in url.host:
        raise CompileError("UPSTREAM_URL", f"{url.host!r} is not a host name", field, "Write a DNS name or an address")
    return url


def _named(endpoints: tuple[Endpoint, ...], tls: bool, connect_timeout_ms: int) -> Upstream:
    content = msgspec.json.encode((endpoints, tls, connect_timeout_ms))
    digest = hashlib.sha256(content).hexdigest()[:12]
    first = endpoints[0]
    return Upstream(f"{first.host}_{first.port}_{digest}", endpoints, tls, connect_timeout_ms)
