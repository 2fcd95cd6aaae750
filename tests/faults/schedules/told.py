"""What hub and gateway were told, and what they gave for it: the state that a judgement compares with."""

from typing import Final

import msgspec
from gateway_processes import KEY_POLICY

SUBSCRIBED: Final = {"name": "subscription-validation", "version": "v1"}
BROKEN: Final = {"name": "no-such-policy", "version": "v1"}
POLICIES: Final = {"open": [], "keyed": [KEY_POLICY], "subscribed": [SUBSCRIBED]}
_COLLECTIONS: Final = {"provider": "llm-providers", "proxy": "llm-proxies"}


class Credential(msgspec.Struct):
    """A key or the token of a subscription, as the hub (or the gateway) gave it."""

    api: str
    name: str
    value: str
    active: bool = True
    uuid: str = ""


class HubApi(msgspec.Struct):
    """An artifact as the hub was told. `steps`: every state since its creation: a version served, or 0 for nothing."""

    handle: str
    flavour: str
    version: int = 0
    deployed: bool = False
    exists: bool = False
    steps: list[int] = []
    deployments: dict[str, int] = {}
    """Places in `steps` by deployment id."""

    broken: set[int] = set()

    @property
    def has_traffic(self) -> bool:
        """Whether Envoy can be asked for it. Other kinds are judged by what is stored and said of them."""
        return self.flavour in POLICIES

    @property
    def path(self) -> str:
        """In the management API."""
        return f"/{_COLLECTIONS.get(self.flavour, 'rest-apis')}/{self.handle}"


class OwnApi(msgspec.Struct):
    """An API as the gateway was told; `certain` is False while a write's answer is missing."""

    handle: str
    flavour: str
    version: int = 0
    exists: bool = False
    certain: bool = True
