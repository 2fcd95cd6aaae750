"""`controller.controlplane`: the link to a control plane. Reference: section 1.6. Pure data."""

from datetime import timedelta
from typing import Annotated

from pydantic import SecretStr

from gatewright.settings.kinds import Bool, Duration, Int, OptionalBool, Secret, Section, Str, key, positive

_LINKED = "controller.controlplane.host is set"


class ControlPlane(Section):
    """The control plane that this gateway belongs to; an empty host means that it stands alone."""

    host: Str = key("", "Control plane as host or host:port, without a scheme. Empty: no control plane.")
    token: Secret = key(SecretStr(""), "Registration token. Empty: the gateway does not connect.")
    reconnect_initial: Annotated[Duration, positive(_LINKED)] = key(
        timedelta(seconds=1),
        "First delay before a new attempt to connect; not above reconnect_max.",
    )
    reconnect_max: Annotated[Duration, positive(_LINKED)] = key(
        timedelta(minutes=5),
        "Longest delay between two attempts to connect.",
    )
    polling_interval: Annotated[Duration, positive(_LINKED)] = key(
        timedelta(minutes=15),
        "Time between two reconciles with the control plane while connected.",
    )
    insecure_skip_verify: Bool = key(
        False,
        "Accept any certificate of the control plane. The original's default is true from 1.2.0 on.",
    )
    deployment_sync_enabled: Bool = key(
        True,
        "Push artifacts made at the gateway to the control plane, platform and API Manager alike.",
    )
    deployment_push_enabled: OptionalBool = key(
        None,
        "Key of 1.0 and 1.1: governs only the push to a platform control plane, never the one to an API Manager. "
        "deployment_sync_enabled wins when both are given.",
    )
    sync_batch_size: Annotated[Int, positive(_LINKED)] = key(50, "Deployments fetched in one request.")
    gateway_name: Str = key(
        "",
        "Name under which this gateway is registered at an API Manager. Empty: controller.gateway_name.",
    )
    apim_oauth2_client_id: Str = key("", "OAuth client for pushing to an API Manager.")
    apim_oauth2_client_secret: Secret = key(SecretStr(""), "Secret of that client.")
    apim_oauth2_username: Str = key("", "User of the password grant; empty: client credentials are used.")
    apim_oauth2_password: Secret = key(SecretStr(""), "Password of that user.")
    apim_sync_pool_size: Int = key(0, "APIs synced to an API Manager at one time, at most 64; 0: 4.")
    apim_sync_queue_size: Int = key(
        0, "APIs that are read ahead for it; 0: 1000. Nothing is dropped: what waits is in the database."
    )
    ai_workspace_sync_pool_size: Int = key(0, "Pushes to a platform control plane at one time, at most 64; 0: 4.")
    ai_workspace_sync_queue_size: Int = key(
        0, "Artifacts that are read ahead for it; 0: 1000. Nothing is dropped: what waits is in the database."
    )

    @property
    def pushes_to_platform(self) -> bool:
        """Whether artifacts made here go to a platform (not API Manager) control plane."""
        if "deployment_sync_enabled" in self.model_fields_set or self.deployment_push_enabled is None:
            return self.deployment_sync_enabled
        return self.deployment_push_enabled

    @property
    def pushes_to_apim(self) -> bool:
        """Whether artifacts made here go to an API Manager; the older key has no say in it."""
        return self.deployment_sync_enabled
