"""What a hub can be told at its start. Times in seconds, sizes in bytes."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

Clock = Callable[[], int]
"""Wall-clock time in nanoseconds since the Unix epoch; tests turn it by hand."""

system_clock: Clock = time.time_ns


class HubConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one hub.

    `port` 0 takes a free one. `names` are further host names or addresses for the generated certificate.
    `certificate_file` and `key_file` (PEM, both or none) replace that certificate. `projects` are the handles that
    pushed artifacts may name.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 9243
    names: tuple[str, ...] = ()
    certificate_file: Path | None = None
    key_file: Path | None = None

    ping_interval: float = 20.0
    connection_timeout: float = 30.0
    """A gateway that has not answered a ping for so long is dropped at the next ping."""
    max_connections: int = 1000
    connects_per_minute: int = 1000
    """Attempts per client address in a sliding minute."""
    send_timeout: float = 10.0
    """A gateway that does not take an event for so long is dropped; replay brings it back."""

    head_timeout: float = 10.0
    """For the head of a request; its body has 60 s."""

    event_retention: float = 3600.0
    """Events are replayed to a returning gateway as long as they are kept."""
    ack_timeout: float = 60.0
    ack_check: float = 20.0
    deployments_kept: int = 120
    """Records per artifact and gateway, the current one included."""

    verify_gateway_version: bool = False
    verify_functionality: bool = False
    projects: tuple[str, ...] = ("default",)
    max_document_bytes: int = 4 * 1_048_576
