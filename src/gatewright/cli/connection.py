"""Which gateway a command talks to, and as whom.

Order: the options, then environment variables, then `gatewright.json`, which `gatewright up` and `controller` leave in
their data directory, then the ports of the defaults on this machine. The file holds addresses only. A password comes
from the environment, a file, or a prompt, never from an argument that other users could see.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gatewright.cli.exits import Exit, Failure

SERVER_VARIABLE = "GATEWRIGHT_SERVER"
ADMIN_SERVER_VARIABLE = "GATEWRIGHT_ADMIN_SERVER"
USER_VARIABLE = "GATEWRIGHT_USER"
PASSWORD_VARIABLE = "GATEWRIGHT_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_FILE_VARIABLE = "GATEWRIGHT_PASSWORD_FILE"  # noqa: S105
DATA_DIR_VARIABLE = "GATEWRIGHT_DATA_DIR"

CONTEXT_FILE = "gatewright.json"
DEFAULT_DATA_DIR = Path("data")
DEFAULT_SERVER = "http://127.0.0.1:9090"
DEFAULT_ADMIN_PORT = 9092
DEFAULT_USER = "admin"
_LARGEST_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs of one gateway, without a slash at the end, and where they come from."""

    server: str
    admin_server: str
    source: str


def addresses(
    server: str | None, admin_server: str | None, data_dir: Path | None, environ: Mapping[str, str]
) -> Addresses:
    """Decide the URLs. Raises Failure for one that is not HTTP."""
    kept = _context(data_dir or Path(environ.get(DATA_DIR_VARIABLE) or DEFAULT_DATA_DIR))
    told = server or environ.get(SERVER_VARIABLE)
    if told:
        base, source = _base_url(told), "--server" if server else SERVER_VARIABLE
        admin = admin_server or environ.get(ADMIN_SERVER_VARIABLE) or _beside(base)
    else:
        base = _base_url(str(kept.get("server") or DEFAULT_SERVER))
        source = str(kept.get("source") or "the default address; no running gateway has left another")
        admin = admin_server or environ.get(ADMIN_SERVER_VARIABLE) or str(kept.get("admin_server") or _beside(base))
    return Addresses(base, _base_url(admin), source)


def user_name(user: str | None, environ: Mapping[str, str]) -> str:
    """The user to log in as."""
    return user or environ.get(USER_VARIABLE) or DEFAULT_USER


def password_of(user: str, file: Path | None, environ: Mapping[str, str]) -> str:
    """The password from a file, the environment or a prompt. Raises Failure (not authorised) when there is none."""
    told = file or (Path(name) if (name := environ.get(PASSWORD_FILE_VARIABLE)) else None)
    if told is not None:
        return _from_file(told)
    if password := environ.get(PASSWORD_VARIABLE):
        return password
    if sys.stdin.isatty() and sys.stderr.isatty():
        from getpass import getpass

        return getpass(f"Password of {user}: ", stream=sys.stderr)
    raise Failure(
        f"no password for the user {user}",
        code=Exit.UNAUTHORISED,
        remedy=f"set {PASSWORD_VARIABLE}, or name a file with --password-file",
    )


def write_context(data_dir: Path, server: str, admin_server: str) -> None:
    """Leave the addresses for later commands. A directory that cannot be written is no reason not to serve."""
    text = json.dumps({"server": server, "admin_server": admin_server}, indent=2) + "\n"
    with contextlib.suppress(OSError):
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".gatewright-", dir=data_dir)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(data_dir / CONTEXT_FILE)


def is_loopback(url: str) -> bool:
    """Whether `url` stays on this machine (no proxy makes sense then)."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _context(data_dir: Path) -> Mapping[str, Any]:
    path = data_dir / CONTEXT_FILE
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid not in {os.geteuid(), 0}:
                return {}  # somebody else's file must not decide where the password goes
            kept = json.loads(file.read(_LARGEST_FILE))
    except (OSError, ValueError):
        return {}
    return {**kept, "source": str(path)} if isinstance(kept, dict) else {}


def _base_url(text: str) -> str:
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url)
    try:
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise Failure(
            f"{_without_credentials(text)} is not the address of a gateway",
            code=Exit.USAGE,
            remedy="give it as http://host:port or https://host:port, without a user or password in it",
        )
    return url.rstrip("/")


def _without_credentials(text: str) -> str:
    head, at, tail = text.rpartition("@")
    return f"…@{tail}" if at and head else text


def _beside(server: str) -> str:
    """The admin port that belongs to a management address when nothing else is known."""
    parts = urlsplit(server)
    host = parts.hostname or "127.0.0.1"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{DEFAULT_ADMIN_PORT}"


def _from_file(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(
            f"the password file {path} cannot be read: {reason}",
            code=Exit.UNAUTHORISED,
            remedy="name a file that holds the password and nothing else",
        ) from error
    return text.rstrip("\r\n")
