"""What of the settings concerns the sync to API Manager. Pure."""

from typing import Final, Literal, cast

import msgspec
from pydantic import SecretStr

from gatewright.settings.tree import Settings

ConflictRule = Literal["stop", "take-theirs", "overwrite"]

DEFAULT_POOL: Final = 4
"""APIs that are synced at one time when the settings give no number: polite to a server that imports slowly."""

MOST_POOL: Final = 64
DEFAULT_QUEUE: Final = 1000


class ApimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`host` may carry a port. `gateway_name` is the environment at API Manager. Times in seconds.

    `password_client`: send the client's own credentials with the password grant. `enabled`: the switch of the settings;
    deletions reach API Manager even without it. `retry_every`: how often what does not heal by itself is tried again.
    """

    host: str
    gateway_name: str = ""
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")
    password_client: bool = False
    enabled: bool = True
    pool: int = DEFAULT_POOL
    queue: int = DEFAULT_QUEUE
    rule: ConflictRule = "stop"
    retry_every: float = 900.0

    @property
    def has_client(self) -> bool:
        """Whether client id and secret are both there; a lone id does not count."""
        return bool(self.client_id and self.client_secret.get_secret_value())

    @property
    def has_user(self) -> bool:
        """Whether user name and password are both there."""
        return bool(self.username and self.password.get_secret_value())

    @property
    def lacks(self) -> tuple[str, ...]:
        """Settings without which no sync can succeed; empty when there is nothing to complain of."""
        lacking = []
        if not (self.has_client or self.has_user):
            lacking.append(
                "controller.controlplane.apim_oauth2_client_id and apim_oauth2_client_secret"
                " (or apim_oauth2_username and apim_oauth2_password)"
            )
        if not self.gateway_name:
            lacking.append("controller.controlplane.gateway_name")
        return tuple(lacking)


def apim_config(settings: Settings) -> ApimConfig:
    """The part of `settings`."""
    linked, own = settings.controller.controlplane, settings.gatewright.controlplane
    return ApimConfig(
        host=linked.host.strip(),
        gateway_name=(linked.gateway_name or settings.controller.gateway_name).strip(),
        client_id=linked.apim_oauth2_client_id.strip(),
        client_secret=linked.apim_oauth2_client_secret,
        username=linked.apim_oauth2_username,
        password=linked.apim_oauth2_password,
        password_client=own.apim_password_client_auth,
        enabled=linked.pushes_to_apim,
        pool=min(linked.apim_sync_pool_size, MOST_POOL) if linked.apim_sync_pool_size > 0 else DEFAULT_POOL,
        queue=linked.apim_sync_queue_size if linked.apim_sync_queue_size > 0 else DEFAULT_QUEUE,
        rule=cast("ConflictRule", own.apim_conflicts),
        retry_every=linked.polling_interval.total_seconds(),
    )
