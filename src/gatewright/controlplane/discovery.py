"""What kind of control plane a host is: its well-known document, read as the link's machine wants it.

Source: control-plane protocol reference 1.2.
"""

from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.controlplane.signals import Discovered
from gatewright.wire.discovery import decode_gateway_path
from gatewright.wire.failures import Undecodable

_PASSING = frozenset({408, 425, 429})


async def discover(rest: Rest, attempt: int) -> Discovered:
    """Ask, at most 5 s."""
    answer = await rest.well_known()
    if isinstance(answer, CallFailed):
        if answer.code == "CALL_UNREACHABLE":
            return Discovered(attempt, "unreachable", problem=answer.problem)
        return Discovered(attempt, "absent" if answer.code == "CALL_TOO_LARGE" else "unsure")
    status, body = answer
    if status == 200:
        path = decode_gateway_path(body)
        return Discovered(attempt, "absent") if isinstance(path, Undecodable) else Discovered(attempt, "found", path)
    return Discovered(attempt, "unsure" if status in _PASSING or status >= 500 else "absent")
