"""`controller.*` without storage and control plane. Reference: section 1.6. Pure data."""

from datetime import timedelta
from typing import Annotated

from pydantic import SecretStr

from gatewright.settings.controlplane import ControlPlane
from gatewright.settings.kinds import (
    Bool,
    Duration,
    Int,
    ListMap,
    Port,
    Secret,
    Section,
    Str,
    StrList,
    Tables,
    between,
    key,
    not_blank,
    one_of,
    table,
)
from gatewright.settings.storage import EventHub, Storage


class Server(Section):
    """The management API, and the identity of this gateway."""

    api_port: Port = key(9090, "Port of the management API.")
    xds_port: Port = key(18000, "Port on which routers fetch their configuration.")
    shutdown_timeout: Duration = key(timedelta(seconds=15), "Time that running requests get at shutdown.")
    gateway_id: Annotated[Str, not_blank()] = key(
        "platform-gateway-id",
        "Partition of every database row; equal on all replicas of one gateway, different between gateways.",
    )
    skip_invalid_deployments_on_startup: Bool = key(
        False,
        "Original: skip an artifact that cannot be loaded at start instead of refusing to start.",
    )


class ConfigDump(Section):
    """The configuration dump of an admin port."""

    enabled: Bool = key(False, "Serve /config_dump; otherwise it answers 404.")


class Pprof(Section):
    """Runtime profiles of the original; no meaning here."""

    enabled: Bool = key(False, "Original: serve /debug/pprof.")
    block_profile_rate: Int = key(0, "Original: rate of the block profile.")
    mutex_profile_fraction: Int = key(0, "Original: fraction of the mutex profile.")


class AdminServer(Section):
    """Health and admin API of the controller."""

    enabled: Bool = key(True, "Serve the admin port; without it there is no health endpoint.")
    port: Annotated[Int, between(1, 65535, "controller.admin_server.enabled")] = key(9092, "Port of the admin API.")
    allowed_ips: StrList = key(
        ("*",),
        "Peer addresses that may ask, compared as text; * and 0.0.0.0/0 allow all. /health is open to all.",
    )
    config_dump: ConfigDump = table(ConfigDump)
    pprof: Pprof = table(Pprof)


class PolicyServerTls(Section):
    """TLS of the policy server; here of the xDS port, which carries all that routers need."""

    enabled: Bool = key(False, "Serve routers with TLS. Who may connect: gatewright.xds.client_ca_file.")
    cert_file: Str = key("./certs/server.crt", "Certificate file.")
    key_file: Str = key("./certs/server.key", "Private key file.")


class PolicyServer(Section):
    """The original's server for policy chains; here they travel with the routes."""

    port: Int = key(18001, "Original: port of the policy xDS server.")
    tls: PolicyServerTls = table(PolicyServerTls)


class Policies(Section):
    """Where the original finds policy definitions."""

    definitions_path: Str = key("./default-policies", "Folder of policy definitions.")
    build_manifest_path: Str = key("./build-manifest.yaml", "Tells own policies from bundled ones.")


class Llm(Section):
    """LLM provider templates."""

    template_definitions_path: Str = key("./default-llm-provider-templates", "Folder of bundled templates.")


class BasicUser(Section):
    """A user of the management API."""

    username: Str = key("", "Name.")
    password: Secret = key(SecretStr(""), "Password, or its hash.")
    password_hashed: Bool = key(False, "The password is a bcrypt or argon2 hash.")
    roles: StrList = key((), "Roles: admin, developer, consumer.")


class BasicAuth(Section):
    """Basic authentication of the management API."""

    enabled: Bool = key(True, "Accept basic authentication.")
    users: Annotated[tuple[BasicUser, ...], *Tables] = key((), "Users.")


class Idp(Section):
    """Bearer tokens of an identity provider at the management API."""

    enabled: Bool = key(False, "Accept tokens.")
    jwks_url: Str = key("", "Where the provider publishes its keys.")
    issuer: Str = key("", "Expected issuer.")
    roles_claim: Annotated[Str, not_blank("controller.auth.idp.enabled")] = key("roles", "Claim that holds the roles.")
    role_mapping: ListMap = key({}, "Local role to the provider's roles; * for one local role only.")
    audience: StrList = key((), "Accepted audiences; empty: any.")


class Auth(Section):
    """Who may use the management API."""

    basic: BasicAuth = table(BasicAuth)
    idp: Idp = table(Idp)


class Logging(Section):
    """The log of a process."""

    level: Annotated[Str, one_of("debug", "info", "warn", "warning", "error", folded=True)] = key(
        "info",
        "Lowest level that is written.",
    )
    format: Annotated[Str, one_of("json", "text")] = key("text", "Form of the lines.")


class Metrics(Section):
    """The metrics port of the controller."""

    enabled: Bool = key(False, "Serve metrics.")
    port: Annotated[Int, between(1, 65535, "controller.metrics.enabled")] = key(9091, "Port of the metrics.")


class EncryptionKey(Section):
    """One key of 32 bytes."""

    version: Str = key("aesgcm256-v1", "Name of the key, stored in each ciphertext.")
    file: Str = key("./data/aesgcm-keys/default-aesgcm256-v1.bin", "File of 32 raw bytes.")


class EncryptionProvider(Section):
    """A kind of encryption with its keys; the first key encrypts, all decrypt."""

    type: Annotated[Str, one_of("aesgcm")] = key("aesgcm", "Kind of encryption.")
    keys: Annotated[tuple[EncryptionKey, ...], *Tables] = key((EncryptionKey(),), "Keys, the current one first.")


class Encryption(Section):
    """Encryption of secrets in the database."""

    providers: Annotated[tuple[EncryptionProvider, ...], *Tables] = key((EncryptionProvider(),), "Providers.")


class Controller(Section):
    """Everything that the controller reads."""

    gateway_name: Str = key(
        "",
        "Never read by the original, but published in its guides: used when controlplane.gateway_name is empty.",
    )
    server: Server = table(Server)
    admin_server: AdminServer = table(AdminServer)
    policy_server: PolicyServer = table(PolicyServer)
    policies: Policies = table(Policies)
    llm: Llm = table(Llm)
    storage: Storage = table(Storage)
    controlplane: ControlPlane = table(ControlPlane)
    auth: Auth = table(Auth)
    logging: Logging = table(Logging)
    metrics: Metrics = table(Metrics)
    event_hub: EventHub = table(EventHub)
    encryption: Encryption = table(Encryption)
