"""How one turn of an API ended. Pure."""

from typing import Literal

import msgspec

Kind = Literal["synced", "undeployed", "nothing", "failed", "busy"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`busy`: another process works on the API; `nothing`: there was nothing to do or a newer change does it.

    For `failed`: `temporary`: waiting may help; `outage`: API Manager as a whole is the reason; `hopeless`: only a
    change of the API can help; `retry_after` in seconds.
    """

    kind: Kind
    message: str = ""
    temporary: bool = False
    outage: bool = False
    hopeless: bool = False
    retry_after: float = 0.0
