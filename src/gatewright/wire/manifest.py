"""What a gateway tells of itself after each connect: version, functionality, policies."""

from typing import Any, Final

import msgspec

from gatewright.wire.codec import Sparse, convert
from gatewright.wire.failures import Undecodable, WireFault

SYSTEM_POLICY_PREFIX: Final = "wso2_apip_sys_"
"""Policies named like this are never listed."""

MANAGED_BY_PRODUCT: Final = "wso2"
MANAGED_BY_ORGANIZATION: Final = "organization"
MAX_MANIFEST_BYTES: Final = 8 * 1_048_576


class ManifestPolicy(Sparse, frozen=True, kw_only=True):
    """One loaded policy definition. The parameter schemas are JSON Schema objects."""

    name: str = ""
    version: str = ""
    display_name: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    system_parameters: dict[str, Any] | None = None
    managed_by: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Body of `POST /gateways/{id}/manifest`. An empty list of policies is written as `[]`."""

    version: str | msgspec.UnsetType = msgspec.UNSET
    functionality_type: str | msgspec.UnsetType = msgspec.UNSET
    policies: tuple[ManifestPolicy, ...] = ()

    @property
    def version_or_default(self) -> str:
        """The reported version; `1.0.0` when there is none."""
        return self.version or "1.0.0" if isinstance(self.version, str) else "1.0.0"

    @property
    def functionality_or_default(self) -> str:
        """The reported functionality; `regular` when there is none."""
        return self.functionality_type or "regular" if isinstance(self.functionality_type, str) else "regular"


def decode_manifest(body: bytes) -> Manifest | Undecodable:
    """Read a manifest."""
    try:
        tree = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Undecodable(WireFault.NOT_JSON, "not valid JSON", subject="manifest")
    return convert(tree, Manifest, "manifest")
