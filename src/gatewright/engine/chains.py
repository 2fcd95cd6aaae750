"""Chains: the ordered policies of a route with their behaviours, made once and kept while they are used."""

from functools import lru_cache

import msgspec

from gatewright.engine.conditions import holds
from gatewright.envoy.policies import Chain
from gatewright.policies.contract import (
    ApiInfo,
    Behaviour,
    Continue,
    Decision,
    RequestHeaders,
    Respond,
    Services,
)
from gatewright.policies.registry import installed

CACHED_CHAINS = 50_000
_decode = msgspec.json.Decoder(Chain).decode


class UnusableChain(Exception):
    """A chain names a policy that is not installed, or cannot be read. The route answers 500."""


class Attached(msgspec.Struct, frozen=True):
    """A policy of a chain, ready to run."""

    behaviour: Behaviour
    condition: str | None


class ReadyChain(msgspec.Struct, frozen=True):
    """A chain with its behaviours."""

    api: ApiInfo
    steps: tuple[Attached, ...]


@lru_cache(maxsize=CACHED_CHAINS)
def ready(text: bytes) -> ReadyChain:
    """Read a chain and attach its behaviours. Raises UnusableChain."""
    try:
        chain = _decode(text)
    except msgspec.DecodeError as error:
        raise UnusableChain(f"the chain of the route cannot be read: {error}") from error
    steps = []
    for use in chain.policies:
        policy = installed().get(use.name, use.version)
        if policy is None:
            raise UnusableChain(f"policy {use.name} {use.version} is not installed beside this router")
        steps.append(Attached(policy.attach(use.params), use.condition))
    return ReadyChain(ApiInfo(api_id=chain.api_id, operation_path=chain.operation_path), tuple(steps))


def run(chain: ReadyChain, request: RequestHeaders, services: Services) -> Decision:
    """Run all steps in order; the first answer ends the chain. Raises ConditionFailed."""
    changed: dict[str, str | None] = {}
    metadata: dict[str, str] = {}
    for step in chain.steps:
        if step.condition and not holds(step.condition, request):
            continue
        decision = step.behaviour.on_request_headers(request, services)
        if isinstance(decision, Respond):
            return decision
        changed.update((name.lower(), value) for name, value in decision.set_headers.items())
        changed.update((name.lower(), None) for name in decision.remove_headers)
        metadata.update(decision.metadata)
        request = msgspec.structs.replace(
            request, auth=decision.auth or request.auth, metadata=metadata, changed=changed
        )
    return Continue(
        set_headers={name: value for name, value in changed.items() if value is not None},
        remove_headers=tuple(name for name, value in changed.items() if value is None),
        metadata=metadata,
        auth=request.auth,
    )
