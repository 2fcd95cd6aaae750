"""What a document says and API Manager has no place for: kept beside the API there, put back when it comes from there.

API Manager stores operations as verb and target, policies as name, version and parameters, and reads its archive into
typed objects that drop every key they do not know. What survives there are additional properties (text, at most 900
characters each), so conditions of policies, match types and header matchers travel in such properties, hidden from the
developer portal. The definition that API Manager sends back has no properties: the gateway puts back what its own copy
of the document holds, for every policy and operation that are still what they were. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gatewright.artifacts.restapi_rules import written_form

PROPERTY: Final = "gatewright_kept"
PIECE: Final = 900
"""Characters of one property's value that API Manager takes."""

MOST_PIECES: Final = 40
_encode = msgspec.json.Encoder(order="deterministic").encode


def properties(document: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Name and value of the properties for `document`; none when nothing would be lost. None: it is too much."""
    kept = _kept(document)
    if not kept:
        return []
    text = _encode(kept).decode()
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    if len(pieces) > MOST_PIECES:
        return None
    return [(f"{PROPERTY}_{number}", piece) for number, piece in enumerate(pieces, 1)]


def restored(received: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`received` from API Manager, with what it could not hold taken from `own`, the gateway's copy before.

    An operation is the same when method and path are; a policy when name, major version and place are. Whatever
    `received` says itself stands.
    """
    spec, ours = received.get("spec"), own.get("spec")
    if not isinstance(spec, Mapping) or not isinstance(ours, Mapping):
        return dict(received)
    result: dict[str, Any] = {**spec}
    upstream = _upstream(spec.get("upstream"), ours.get("upstream"))
    if upstream is not None:
        result["upstream"] = upstream
    result |= _policies(spec, ours)
    operations, known = _mappings(spec.get("operations")), _mappings(ours.get("operations"))
    places: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for operation in known:
        places.setdefault(_place(operation), []).append(operation)
    if operations:
        result["operations"] = [_operation(item, places.get(_place(item), [])) for item in operations]
    return {**received, "spec": result}


def _kept(document: Mapping[str, Any]) -> dict[str, Any]:
    spec = document.get("spec") or {}
    kept: dict[str, Any] = {}
    conditions = _conditions(spec.get("policies"))
    if conditions:
        kept["policies"] = conditions
    operations = {}
    for index, operation in enumerate(spec.get("operations") or ()):
        extra: dict[str, Any] = {}
        if operation.get("match") is not None:
            extra["match"] = operation["match"]
        conditions = _conditions(operation.get("policies"))
        if conditions:
            extra["policies"] = conditions
        if extra:
            operations[str(index)] = extra
    if operations:
        kept["operations"] = operations
    return kept


def _upstream(received: object, own: object) -> dict[str, Any] | None:
    """Without the sandbox that an import has to invent by naming the main URL twice; None: nothing to change."""
    if not isinstance(received, Mapping) or not isinstance(own, Mapping) or own.get("sandbox"):
        return None
    main, sandbox = received.get("main"), received.get("sandbox")
    if not isinstance(main, Mapping) or not isinstance(sandbox, Mapping) or main.get("url") != sandbox.get("url"):
        return None
    return {name: value for name, value in received.items() if name != "sandbox"}


def _conditions(policies: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """Conditions by the position of their policy."""
    return {
        str(index): str(policy["executionCondition"])
        for index, policy in enumerate(policies or ())
        if policy.get("executionCondition")
    }


def _place(operation: Mapping[str, Any]) -> tuple[str, str]:
    match = operation.get("match")
    if match is not None and not isinstance(match, Mapping):
        return "", ""
    method, path, _, _ = written_form(operation)
    return str(method).upper(), str(path)


def _operation(received: Mapping[str, Any], known: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Operations with the same method and path stand in the same order on both sides."""
    if not known:
        return dict(received)
    own = known.pop(0)
    result: dict[str, Any] = {**received, **_policies(received, own)}
    if own.get("match") is not None and received.get("match") is None:
        result["match"] = own["match"]
        result.pop("method", None)
        result.pop("path", None)
    return result


def _policies(received: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The policies of an API or an operation with their conditions, when there are any."""
    policies = _mappings(received.get("policies"))
    return {"policies": _with_conditions(policies, _mappings(own.get("policies")))} if policies else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    """A list of mappings as it is; nothing for whatever else stands there: its reader will refuse it."""
    fits = isinstance(value, list) and all(isinstance(item, Mapping) for item in value)
    return list(value) if fits and isinstance(value, list) else []


def _with_conditions(received: Iterable[Mapping[str, Any]], own: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The n-th policy of a name and major version has the condition that our n-th of them had."""
    conditions: dict[tuple[str, str], list[Any]] = {}
    for policy in own:
        conditions.setdefault(_identity(policy), []).append(policy.get("executionCondition"))
    result = []
    for policy in received:
        ours = conditions.get(_identity(policy), [])
        condition = ours.pop(0) if ours else None
        restored_policy = dict(policy)
        if condition and not policy.get("executionCondition"):
            restored_policy["executionCondition"] = condition
        result.append(restored_policy)
    return result


def _identity(policy: Mapping[str, Any]) -> tuple[str, str]:
    version = str(policy.get("version") or "").strip().removeprefix("v")
    return str(policy.get("name") or ""), version.split(".", 1)[0]
