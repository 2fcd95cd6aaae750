"""The step that asks an API Manager for a token, in the very words of the sync, and reads what it may do."""

from typing import Any, Final

import msgspec

from gatewright.controlplane.apim.config import ApimConfig, apim_config
from gatewright.controlplane.apim.oauth import SCOPE, TOKEN_PATH, token_request
from gatewright.controlplane.apim.transport import Answer, NoAnswer, Transport
from gatewright.controlplane.config import LinkConfig
from gatewright.controlplane.doctor.findings import Finding, doubtful, failed, good, skipped
from gatewright.controlplane.problems import Problem
from gatewright.controlplane.trust import Trust
from gatewright.controlplane.words import quoted
from gatewright.observability.redaction import register_secret
from gatewright.settings.tree import Settings

TIMEOUT: Final = 10.0
_REGISTER: Final = "`gatewright apim register` gets a client with the rights that a sync needs"
_BY_CLIENT: Final = "controller.controlplane.apim_oauth2_client_id and apim_oauth2_client_secret"
_BY_USER: Final = "controller.controlplane.apim_oauth2_username and apim_oauth2_password"


async def oauth_probe(settings: Settings, link: LinkConfig, *, on_prem: bool) -> Finding:
    """Whether APIs made here could be synced: a token, and with it the scopes of a sync."""
    if not on_prem:
        return skipped("oauth", "only an API Manager needs it")
    config = apim_config(settings)
    request = token_request(config)
    if request is None:
        return _incomplete(config)
    for secret in (config.client_secret, config.password):
        register_secret(secret.get_secret_value())
    headers, content = request
    transport = Transport(config.host, Trust(link), connections=1, timeout=TIMEOUT)
    try:
        answer = await transport.send("POST", TOKEN_PATH, headers=headers, content=content)
    finally:
        await transport.close()
    who = _who(config, content)
    if isinstance(answer, NoAnswer):
        return failed("oauth", f"{who}: no answer", Problem("OAUTH_NO_TOKEN", answer.cause, "Check network and proxy."))
    return _judged(config, who, answer)


def _incomplete(config: ApimConfig) -> Finding:
    """Nobody can be asked."""
    for half, names in (
        (config.client_id or config.client_secret.get_secret_value(), _BY_CLIENT),
        (config.username or config.password.get_secret_value(), _BY_USER),
    ):
        if half:
            wrong = "only one of the two is set, and it counts for nothing: APIs made here are not synced"
            return doubtful("oauth", f"of {names}", wrong, f"Set both; {_REGISTER}.")
    return skipped("oauth", f"no client is configured, so APIs made here are not synced ({_BY_CLIENT}); {_REGISTER}")


def _who(config: ApimConfig, content: bytes) -> str:
    by_user = content.startswith(b"grant_type=password")
    return f"the user {quoted(config.username)}" if by_user else f"the client {quoted(config.client_id)}"


def _judged(config: ApimConfig, who: str, answer: Answer) -> Finding:
    try:
        tree: Any = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        tree = None
    told = tree if isinstance(tree, dict) else {}
    token = told.get("access_token")
    if answer.status != 200 or not isinstance(token, str) or not token:
        return _refused(config, who, answer.status, str(told.get("error") or ""), told.get("error_description"))
    register_secret(token)
    # An answer that names no scope grants what was asked for (RFC 6749, 5.1).
    granted = str(told.get("scope") or SCOPE).split()
    missing = [scope for scope in SCOPE.split() if scope not in granted]
    if missing:
        what = f"the token lacks {' and '.join(missing)}: the publisher will refuse every import"
        change = "Give its owner the role admin or Internal/devops at the API Manager, or register another client."
        return failed("oauth", f"{who} gets a token without rights", Problem("OAUTH_SCOPES", what, change))
    return good("oauth", f"{who} gets a token for {' and '.join(SCOPE.split())}", scopes=granted)


def _refused(config: ApimConfig, who: str, status: int, error: str, description: object) -> Finding:
    words = quoted(": ".join(str(part) for part in (error, description) if part)) or "no token in the answer"
    alone = config.has_user and not config.has_client
    changes = {
        "invalid_client": (
            "A stock API Manager takes a password only from a client that names itself: set "
            f"{_BY_CLIENT} too, and gatewright.controlplane.apim_password_client_auth."
            if alone
            else f"Check {_BY_CLIENT}; {_REGISTER}."
        ),
        "invalid_grant": f"Check {_BY_USER}.",
        "unauthorized_client": "Allow this grant in the OAuth application at the API Manager.",
    }
    change = changes.get(error, "See the API Manager's log and its token endpoint.")
    problem = Problem("OAUTH_NO_TOKEN", f"no token for {who} (HTTP {status}): {words}", change)
    return failed("oauth", f"{who} is refused", problem)
