"""What the link needs of the settings, as one plain value. Pure."""

from typing import Final

import msgspec

from gatewright.settings.tree import Settings

DEFAULT_POOL: Final = 4
"""Pushes at one time."""

MOST_POOL: Final = 64
DEFAULT_QUEUE: Final = 1000
"""Artifacts that are read ahead for them."""


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds. `host` may carry a port; empty means that there is no control plane.

    `pull`: reconcile deployments; `push`: send artifacts made here to a platform control plane, `push_pool` calls at
    one time, with `push_queue` artifacts read ahead. `issuer` restricts the key list. More deletions at once than
    `deletion_minimum` and than `deletion_share` of what is known wait for a second, equal answer. Events within
    `echo_window` of an import of ours are echoes; 0: none is.
    """

    host: str = ""
    reconnect_initial: float = 1.0
    reconnect_max: float = 300.0
    polling_interval: float = 900.0
    verify: bool = True
    ca_file: str = ""
    client_certificate_file: str = ""
    client_key_file: str = ""
    pull: bool = True
    push: bool = True
    push_pool: int = DEFAULT_POOL
    push_queue: int = DEFAULT_QUEUE
    batch_size: int = 50
    deletion_share: float = 0.5
    deletion_minimum: int = 5
    issuer: str = ""
    echo_window: float = 5.0


def link_config(settings: Settings) -> LinkConfig:
    """The part of `settings` that concerns the link."""
    linked, own = settings.controller.controlplane, settings.gatewright.controlplane
    return LinkConfig(
        host=linked.host.strip(),
        reconnect_initial=linked.reconnect_initial.total_seconds(),
        reconnect_max=max(linked.reconnect_max, linked.reconnect_initial).total_seconds(),
        polling_interval=linked.polling_interval.total_seconds(),
        verify=not linked.insecure_skip_verify,
        ca_file=own.ca_file,
        client_certificate_file=own.client_certificate_file,
        client_key_file=own.client_key_file,
        pull=linked.deployment_sync_enabled,
        push=linked.pushes_to_platform,
        push_pool=min(linked.ai_workspace_sync_pool_size, MOST_POOL)
        if linked.ai_workspace_sync_pool_size > 0
        else DEFAULT_POOL,
        push_queue=linked.ai_workspace_sync_queue_size if linked.ai_workspace_sync_queue_size > 0 else DEFAULT_QUEUE,
        batch_size=max(1, linked.sync_batch_size),
        deletion_share=own.deletion_share,
        deletion_minimum=own.deletion_minimum,
        issuer=settings.api_key.issuer,
        echo_window=own.echo_window.total_seconds(),
    )
