"""RestApi → model: one route per operation and virtual host.

Source: data-plane reference, sections 3, 4, 6, 8, 10 and 14.2. Pure.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from gatewright.artifacts.durations import Resilience
from gatewright.artifacts.policies import PolicyCatalogue, PolicyNotFound, PolicyRef
from gatewright.artifacts.restapi import Operation, RestApi
from gatewright.artifacts.restapi_rules import is_reserved
from gatewright.compile import paths
from gatewright.compile.errors import CompileError
from gatewright.compile.expressions import check_expression
from gatewright.compile.hosts import main_hosts, sandbox_host
from gatewright.compile.upstreams import Target, slot_target
from gatewright.model.api import Api
from gatewright.model.gateway import Gateway
from gatewright.model.routes import HeaderMatch, PolicyUse, Route

_HEADER_NAME = re.compile(r":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def compile_restapi(api: RestApi, *, api_id: str, gateway: Gateway, catalogue: PolicyCatalogue | None = None) -> Api:
    """Compile a valid, rendered RestApi. Raises CompileError; never touches anything else.

    `catalogue` resolves policy references that were typed without one.
    """
    context = "" if api.context == "/" else api.context
    paths.check_path(context, "spec.context")
    connect_ms = gateway.connect_timeout_ms
    placed = [(host, slot_target(api, api.main, "spec.upstream.main", default_connect_ms=connect_ms))
              for host in main_hosts(api)]  # fmt: skip
    host = sandbox_host(api)
    if host is not None and api.sandbox is not None:
        placed.append((host, slot_target(api, api.sandbox, "spec.upstream.sandbox", default_connect_ms=connect_ms)))
    shared = _policies(api.policies, "api", "spec.policies", catalogue)
    routes: dict[str, Route] = {}
    for operation in api.operations:
        for route in _routes(api, operation, api_id=api_id, context=context, placed=placed, shared=shared,
                             catalogue=catalogue, limit=gateway.regex_program_limit):  # fmt: skip
            routes[route.name] = route  # a repeated operation replaces the earlier one, as in the original
    compiled = Api(
        api_id=api_id,
        kind=api.kind,
        handle=api.handle,
        display_name=api.display_name,
        version=api.version,
        context=api.context,
        routes=tuple(routes.values()),
        upstreams=tuple({target.upstream.name: target.upstream for _, target in placed}.values()),
        content_hash="",
    )
    digest = hashlib.sha256(msgspec.json.encode(compiled, order="deterministic")).hexdigest()
    return msgspec.structs.replace(compiled, content_hash=digest)


def _routes(
    api: RestApi,
    operation: Operation,
    *,
    api_id: str,
    context: str,
    placed: list[tuple[str, Target]],
    shared: tuple[PolicyUse, ...],
    catalogue: PolicyCatalogue | None,
    limit: int,
) -> list[Route]:
    field = operation.field
    path_field = f"{field}.path" if operation.match_type is None else f"{field}.match.path.value"
    path = operation.path
    if not paths.can_match(path):
        return []
    if is_reserved(context + path):
        raise CompileError(
            "PATH_RESERVED", f"{context + path!r} belongs to the gateway's health checks", path_field, "Choose another"
        )
    headers = tuple(_header(h.name, h.type, h.value, f"{field}.match.headers[{i}]", limit)
                    for i, h in enumerate(operation.headers))  # fmt: skip
    match = paths.path_match(context, path, operation.match_type, path_field, limit)
    own = _policies(operation.policies, "route", f"{field}.policies", catalogue)
    resilience = _resilience(operation.resilience, api.resilience)
    method = operation.method.upper()
    discriminator = f"|{_discriminator(operation)}" if operation.headers else ""
    return [
        Route(
            name=f"{method}|{context}{path}|{host}{discriminator}",
            api_id=api_id,
            vhost=host,
            method=method,
            operation_path=path,
            path=match,
            headers=headers,
            rank=paths.rank(match, context, path, headers, operation.index),
            first_segment=paths.first_segment(match.literal, path),
            rewrite=paths.rewrite(context, path, target.base_path),
            upstream=target.upstream.name,
            host_rewrite="manual" if target.manual_host else "auto",
            timeout_ms=resilience.timeout_ms,
            idle_timeout_ms=resilience.idle_timeout_ms,
            policies=shared + own,
        )
        for host, target in placed
    ]


def _resilience(own: Resilience, shared: Resilience) -> Resilience:
    """The operation's values, each falling back to the API's on its own (10)."""
    return Resilience(
        timeout_ms=shared.timeout_ms if own.timeout_ms is None else own.timeout_ms,
        idle_timeout_ms=shared.idle_timeout_ms if own.idle_timeout_ms is None else own.idle_timeout_ms,
    )


def _header(name: str, kind: str, value: str, field: str, limit: int) -> HeaderMatch:
    cleaned = name.strip().lower()
    if not _HEADER_NAME.fullmatch(cleaned):
        raise CompileError(
            "HEADER_NAME", f"{name!r} is not a header name", f"{field}.name", "Use letters, digits and -"
        )
    if _CONTROL.search(value):
        raise CompileError(
            "HEADER_VALUE", "the value holds a control character", f"{field}.value", "Remove the control character"
        )
    if kind == "RegularExpression":
        check_expression(value, f"{field}.value", limit)
        return HeaderMatch(cleaned, "regex", value)
    return HeaderMatch(cleaned, "exact", value)


def _discriminator(operation: Operation) -> str:
    """Tells apart operations that differ in their header matchers only (4.1)."""
    matchers = sorted(f"{h.name.strip().lower()}\x1f{h.type or 'Exact'}\x1f{h.value}" for h in operation.headers)
    return hashlib.sha256("\x1e".join(matchers).encode()).hexdigest()[:16]


def _policies(
    references: tuple[PolicyRef, ...],
    attached_to: Literal["api", "route"],
    field: str,
    catalogue: PolicyCatalogue | None,
) -> tuple[PolicyUse, ...]:
    return tuple(
        PolicyUse(
            name=reference.name,
            version=_version(reference, f"{field}[{index}]", catalogue),
            params={key: _plain(value) for key, value in reference.params.items()},
            condition=reference.execution_condition,
            attached_to=attached_to,
        )
        for index, reference in enumerate(references)
    )


def _version(reference: PolicyRef, field: str, catalogue: PolicyCatalogue | None) -> str:
    """The full version. A policy that cannot be resolved fails the API: it may be what protects it."""
    if reference.resolved or catalogue is None:
        return reference.resolved or reference.version
    found = catalogue.resolve(reference.name, reference.version)
    if isinstance(found, PolicyNotFound):
        advice = "Install the policy or use a version that is there"
        raise CompileError("POLICY_UNKNOWN", found.message, f"{field}.{found.member}", advice)
    return found.version


def _plain(value: object) -> object:
    """A deep copy made of dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
