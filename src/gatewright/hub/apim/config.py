"""What a stand-in API Manager can be told at its start. Times in seconds, sizes in bytes."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from gatewright.hub.apim.switches import SwitchBoard, SwitchProblem
from gatewright.hub.config import HubConfig
from gatewright.hub.problems import HubStartError

DEFAULT_PORT: Final = 9443
MAX_TOKEN: Final = 128
"""Characters of a registration token."""
SUPER_ADMIN: Final = "admin"
"""The user who may register clients in anybody's name."""


class User(msgspec.Struct, frozen=True):
    """Somebody who can sign in. Roles as API Manager calls them: `admin`, `Internal/publisher` and so on."""

    name: str
    password: str
    roles: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"User({self.name!r}, roles={self.roles!r})"


class Connect(msgspec.Struct, frozen=True):
    """A platform gateway that the deployment configuration names: it exists from its first connect on."""

    registration_token: str
    url: str
    name: str = ""
    display_name: str = ""
    description: str = ""

    def __repr__(self) -> str:
        return f"Connect({self.name!r})"


DEFAULT_USERS: Final = (User(SUPER_ADMIN, "admin", ("admin",)),)


class ApiManagerConfig(HubConfig, frozen=True, kw_only=True):
    """Settings of one stand-in. `users` are made, or given this password and these roles again, at every start."""

    port: int = DEFAULT_PORT
    ping_interval: float = 15.0
    event_retention: float = 86_400.0
    """Since its delivery an event is kept for so long; an undelivered one for seven times as long."""

    users: tuple[User, ...] = DEFAULT_USERS
    connects: tuple[Connect, ...] = ()
    switches: Mapping[str, str] = msgspec.field(default_factory=dict)
    token_lifetime: float = 3600.0
    slow_well_known: float = 6.0
    slow_import: float = 35.0
    """How late the answers of the `slow` switches are."""

    max_archive_bytes: int = 16 * 1_048_576
    requests_kept: int = 5000
    uploads_kept_bytes: int = 64 * 1_048_576


def read_connects(file: Path) -> tuple[Connect, ...]:
    """The platform gateways of a `deployment.toml`. Raises HubStartError."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8")).get("apim", {})
        entries = [
            entry
            for table in ("platform_gateway", "universal_gateway")
            for entry in tree.get(table, {}).get("connect", ())
        ]
        connects = msgspec.convert(entries, tuple[Connect, ...])
    except OSError as error:
        raise HubStartError("HUB_CONNECTS_UNREADABLE", f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError):
        # What is wrong is not repeated: the line may hold a token.
        raise HubStartError(
            "HUB_CONNECTS_UNREADABLE",
            f"{file}: each [[apim.platform_gateway.connect]] needs registration_token and url as texts.",
        ) from None
    for connect in connects:
        token_id, dot, secret = connect.registration_token.partition(".")
        if not (token_id and dot and secret and connect.url) or len(connect.registration_token) > MAX_TOKEN:
            raise HubStartError(
                "HUB_CONNECTS_UNREADABLE",
                f"{file}: registration_token must be <id>.<secret> of at most {MAX_TOKEN} characters, url not empty.",
            )
    return connects


def switch_board(config: ApiManagerConfig) -> SwitchBoard:
    """The switches as configured. Raises HubStartError."""
    try:
        return SwitchBoard(config.switches)
    except SwitchProblem as error:
        raise HubStartError("HUB_SWITCH_UNKNOWN", str(error)) from error


def read_users(file: Path) -> tuple[User, ...]:
    """The users of a YAML file: a list of `{name, password, roles}`. Raises HubStartError."""
    try:
        tree: Any = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        return msgspec.convert(tree, tuple[User, ...])
    except OSError as error:
        raise HubStartError("HUB_USERS_UNREADABLE", f"{file} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError):
        # What is wrong is not repeated: the line may hold a password.
        raise HubStartError(
            "HUB_USERS_UNREADABLE", f"{file} is no list of users: each needs name, password and roles (a list)."
        ) from None
