"""What a router made of a resource. Pure data; also the form in which a relay passes it on to the controller."""

from typing import Final, TypeAlias

import msgspec

from gatewright.xds.keys import ResourceKey

MAX_REASON: Final = 4096
"""Characters of a refusal that are kept; Envoy cuts its own texts at about the same length."""


class Accepted(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The router uses this version now; None: it has dropped the resource."""

    key: ResourceKey
    version: str | None


class Refused(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The router keeps what it had. `reason` is in Envoy's own words where they exist.

    `cause`: the resource that was refused itself, when this one was not even tried without it.
    """

    key: ResourceKey
    version: str
    reason: str
    cause: ResourceKey | None = None


Outcome: TypeAlias = Accepted | Refused


class Node(msgspec.Struct, frozen=True):
    """Who is at the other end of a stream. `relay` is a router of Gatewright; others are Envoys connected directly."""

    id: str
    cluster: str = ""
    relay: bool = False
    build: str = ""


class Report(msgspec.Struct, frozen=True, array_like=True):
    """From a relay to its controller.

    `envoy`: whether its Envoy is connected. `fresh`: forget all earlier reports, a new Envoy starts from nothing.
    """

    envoy: bool
    fresh: bool = False
    outcomes: tuple[Outcome, ...] = ()


class ClusterStates(msgspec.Struct, frozen=True):
    """What an Envoy uses (`active`) and what it is still preparing (`warming`): versions by name."""

    active: dict[str, str]
    warming: dict[str, str]
