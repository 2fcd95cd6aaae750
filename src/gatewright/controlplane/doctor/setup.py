"""Steps that need no network: the settings, the proxy they meet, what an API Manager needs besides. Pure."""

from importlib.util import find_spec
from typing import Final

from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.doctor.findings import Finding, doubtful, failed, good, skipped
from gatewright.controlplane.doctor.route import Proxies, address_of
from gatewright.controlplane.problems import Problem
from gatewright.settings.tree import Settings

_LIBRARY: Final = "python_socks"


def configuration(config: LinkConfig, credentials: Credentials) -> Finding:
    """Host and token are there and have the right form. Nothing of the token is told but that it is there."""
    if not config.host:
        change = "Set controller.controlplane.host and controller.controlplane.token to connect."
        return failed("configuration", "no host", Problem("LINK_UNSET", "no control plane is configured", change))
    address = address_of(config.host)
    if address is None:
        change = "Set controller.controlplane.host to host or host:port, without a scheme and without a path."
        problem = Problem("LINK_UNSET", f"{config.host!r} is not the name of a host", change)
        return failed("configuration", f"the host {config.host!r}", problem)
    if not credentials.token:
        change = "Set controller.controlplane.token to the token that the control plane gave for this gateway."
        problem = Problem("LINK_TOKEN_UNUSABLE", "there is no registration token", change)
        return failed("configuration", f"{address}, no token", problem)
    if not credentials.usable() or " " in credentials.token:
        change = "Copy it again: it is one line of letters, digits and signs, without blanks or quotation marks."
        problem = Problem("LINK_TOKEN_UNUSABLE", "the registration token cannot be sent in a header", change)
        return failed("configuration", f"{address}, a token with impossible characters", problem)
    return good("configuration", f"{address}, with a token", host=address.host, port=address.port)


def proxy(proxies: Proxies) -> Finding:
    """Which way the environment sends the connection."""
    if proxies.broken:
        change = f"Correct {proxies.broken} in the environment: http://host:port."
        problem = Problem("LINK_PROXY_REFUSED", f"{proxies.broken} is not the address of a proxy", change)
        return failed("proxy", f"{proxies.broken} is set", problem)
    used, rest = proxies.socket, proxies.rest
    if used is None and rest is None:
        return good("proxy", "none: directly")
    for each in (used, rest):
        if each is not None and each.scheme.startswith("socks") and find_spec(_LIBRARY) is None:
            change = "Name an HTTP proxy with HTTPS_PROXY, or add the control plane's host to NO_PROXY."
            problem = Problem("LINK_PROXY_REFUSED", "this installation cannot use SOCKS proxies", change)
            return failed("proxy", str(each), problem)
    facts = {"webSocket": str(used or ""), "rest": str(rest or "")}
    if used != rest:
        seen = f"WebSocket: {used or 'directly'}; REST calls: {rest or 'directly'}"
        wrong = "the WebSocket and the REST calls go different ways"
        return doubtful("proxy", seen, wrong, "Name one proxy with HTTPS_PROXY, for both.", **facts)
    return good("proxy", f"through {used}", **facts)


def gateway_name(settings: Settings, *, on_prem: bool, gateway_id: str) -> Finding:
    """Whether an API Manager can know which gateway artifacts come from."""
    name = settings.controller.controlplane.gateway_name or settings.controller.gateway_name
    if name:
        return good("gateway-name", f"configured as {name}", name=name, gatewayId=gateway_id)
    if on_prem:
        return doubtful(
            "gateway-name",
            "none is configured",
            "an API Manager is told by this name where an artifact made here is deployed",
            "Set controller.controlplane.gateway_name to the name under which the gateway is registered.",
        )
    if gateway_id:
        return good("gateway-name", f"known to the control plane as {gateway_id}", name="", gatewayId=gateway_id)
    return skipped("gateway-name", "none is configured, and the control plane told none; an API Platform needs none")
