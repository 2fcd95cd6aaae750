"""How commands reach a hub: by its data directory on this machine, or by address, token and authority.

The admin token comes from a file or the environment, never from an argument. Failures of the hub get exit codes.
"""

import json
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from gatewright.cli.exits import Exit, Failure

if TYPE_CHECKING:
    from gatewright.hub.client import HubClient, HubClientError

URL_VARIABLE: Final = "GATEWRIGHT_HUB"
TOKEN_VARIABLE: Final = "GATEWRIGHT_HUB_TOKEN"  # noqa: S105 - the name of a variable
DATA_DIR_VARIABLE: Final = "GATEWRIGHT_HUB_DATA_DIR"
CONTEXT_FILE: Final = "hub.json"
DEFAULT_DATA_DIR: Final = Path("hub-data")
API_MANAGER_DATA_DIR: Final = Path("api-manager-data")
DEFAULT_PORT: Final = 9243
PANEL: Final = "Which hub"
_LARGEST_FILE = 64 * 1024
_REMEDY = "name the hub's data directory with --data-dir, or the token with --admin-token-file"

HubUrl = Annotated[
    str | None,
    typer.Option(
        "--hub",
        metavar="URL",
        rich_help_panel=PANEL,
        show_default=False,
        help="Address, such as https://hub.example.com:9243. Else GATEWRIGHT_HUB, else the hub of the data directory.",
    ),
]
HubDataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        rich_help_panel=PANEL,
        show_default=False,
        help="Data directory of a hub on this machine. Else GATEWRIGHT_HUB_DATA_DIR, else ./hub-data.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--admin-token-file",
        metavar="FILE",
        rich_help_panel=PANEL,
        show_default=False,
        help="File with the admin token. Else GATEWRIGHT_HUB_TOKEN, else the one in the data directory.",
    ),
]
HubCaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        rich_help_panel=PANEL,
        show_default=False,
        help="Authority (PEM) of the hub's certificate. Else the one in the data directory.",
    ),
]

T = TypeVar("T")


def directory(data_dir: Path | None) -> Path:
    """The data directory that is meant."""
    return data_dir or Path(os.environ.get(DATA_DIR_VARIABLE) or DEFAULT_DATA_DIR)


def api_manager_directory(data_dir: Path | None) -> Path:
    """The data directory of a stand-in API Manager; a variable for hubs must not lead two of them into one."""
    return data_dir or API_MANAGER_DATA_DIR


def positions(pairs: Iterable[str]) -> dict[str, str]:
    """Switches of a stand-in API Manager as `name=value`. Raises Failure."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Failure(f"{pair} is no switch", code=Exit.USAGE, remedy="give it as NAME=VALUE")
        found[name] = value
    return found


def left_url(data_dir: Path) -> str | None:
    """The address that a hub has left in its data directory at its start."""
    try:
        with (data_dir / CONTEXT_FILE).open(encoding="utf-8") as file:
            url = json.loads(file.read(_LARGEST_FILE)).get("url")
    except (OSError, ValueError, AttributeError):
        return None
    return url if isinstance(url, str) else None


def ask(
    hub: str | None,
    data_dir: Path | None,
    token_file: Path | None,
    ca_file: Path | None,
    question: Callable[["HubClient"], Awaitable[T]],
) -> T:
    """Run `question` against the hub that the options mean. Raises Failure."""
    import asyncio

    from gatewright.hub.client import HubClientError

    async def run() -> T:
        async with _client(hub, directory(data_dir), token_file, ca_file) as client:
            return await question(client)

    try:
        return asyncio.run(run())
    except HubClientError as error:
        raise _failure(error) from error


def write_context(data_dir: Path, host: str, port: int) -> None:
    """Leave the address of a hub that has started, for later commands."""
    reachable = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host
    text = json.dumps({"url": f"https://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"}) + "\n"
    (data_dir / CONTEXT_FILE).write_text(text, encoding="utf-8")


def plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """A view of the hub as plain data."""
    import msgspec

    return msgspec.to_builtins(value)


def _client(hub: str | None, data_dir: Path, token_file: Path | None, ca_file: Path | None) -> "HubClient":
    import ssl

    from gatewright.hub.client import ADMIN_TOKEN_FILE, CA_FILE, HubClient

    told = hub or os.environ.get(URL_VARIABLE)
    url = told or left_url(data_dir) or f"https://127.0.0.1:{DEFAULT_PORT}"
    if not url.startswith("https://"):
        raise Failure(f"{url} is not the address of a hub", code=Exit.USAGE, remedy="give it as https://host:port")
    token = os.environ.get(TOKEN_VARIABLE, "") if token_file is None else ""
    file = token_file or data_dir / ADMIN_TOKEN_FILE
    token = token or _read(file)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise Failure(f"{file} holds no admin token", code=Exit.UNAUTHORISED, remedy=_REMEDY)
    authority = ca_file or (data_dir / CA_FILE if not told or (data_dir / CA_FILE).exists() else None)
    try:
        return HubClient(url.rstrip("/"), token, authority)
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            f"the authority in {authority} cannot be read: {error}",
            code=Exit.USAGE,
            remedy="name the hub's ca.pem with --ca-file",
        ) from error


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(_LARGEST_FILE).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(
            f"the hub's admin token {path} cannot be read: {reason}",
            code=Exit.UNAUTHORISED,
            remedy=_REMEDY,
        ) from error


def _failure(error: "HubClientError") -> Failure:
    codes = {0: Exit.UNREACHABLE, 401: Exit.UNAUTHORISED, 403: Exit.UNAUTHORISED, 404: Exit.NOT_FOUND}
    remedy = "start one with 'gatewright hub start', or say where it is with --hub" if error.status == 0 else ""
    return Failure(str(error), code=codes.get(error.status, Exit.FAILED), where=error.code, remedy=remedy)
