"""Subscriptions as routers know them: active ones, with what their plan allows. Only hashes live here."""

import msgspec

LONGEST_TOKEN_BYTES = 2048
"""A longer token is never valid: a request must not make anybody hash as much as a client likes to send."""

_DAY = 86_400
WINDOWS = {"min": 60, "hour": 3_600, "day": _DAY, "month": 30 * _DAY}
"""Seconds of a plan's unit, in lower case."""


class Subscription(msgspec.Struct, frozen=True):
    """An active subscription of one API.

    `token_hash` is the lower-case hex SHA-256 of the trimmed token. `limit` requests may come in `window_s` seconds
    from the first one on (0: as many as like); without `stops` more of them pass all the same.
    """

    api_id: str
    subscription_id: str
    token_hash: str
    application_id: str = ""
    limit: int = 0
    window_s: int = 0
    stops: bool = False
    plan_name: str = ""
    billing_customer_id: str = ""
    billing_subscription_id: str = ""

    @property
    def is_limited(self) -> bool:
        """Whether requests must be counted because some of them may be refused."""
        return self.limit > 0 and self.window_s > 0 and self.stops
