"""A real PostgreSQL server for tests, from the binaries of the system, in a folder of its own."""

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from gatewright.process.certificate import self_signed

OWNER = "gateway"
PASSWORD = "a p@ss/word:of%tests"  # every character that a connection URL must escape
ESCAPED = "a%20p%40ss%2Fword%3Aof%25tests"
START_S = 60.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def binaries() -> Path | None:
    """The folder of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


class Server:
    """Starts and ends the server; makes databases in it. TLS is on, plain connections are taken too."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="gw-pg-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._own(self.folder)

    def make(self) -> None:
        """The files of a new server."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        self._own(password)
        self._run(
            "initdb", "--username", OWNER, f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync", "-E", "UTF8",
            "--locale=C", "-D", str(self.folder / "data"),
        )  # fmt: skip
        certificate, key = self_signed(self.folder / "certificate", datetime.now(UTC))
        for name, content in (("server.crt", certificate), ("server.key", key)):
            path = self.folder / name
            path.write_text(content)
            path.chmod(0o600)
            self._own(path)

    def start(self) -> None:
        """Returns when it answers."""
        log = (self.folder / "log").open("ab")
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": str(self.folder / "server.crt"),
            "ssl_key_file": str(self.folder / "server.key"),
            "max_connections": "100",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *words],
                stdout=log, stderr=log, cwd=self.folder, preexec_fn=_bond(),  # noqa: PLW1509 - one call into libc
                **self._as_user(),
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                self.execute("SELECT 1")
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT: connections are ended in order. SIGQUIT: as if the machine had lost its power."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        """Stop, and remove the files."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """Of a database, for its owner."""
        words = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{OWNER}:{ESCAPED}@127.0.0.1:{self.port}/{database}{'?' if words else ''}{words}"

    def database(self, template: str = "template1") -> str:
        """Make one; its name."""
        self._made += 1
        name = f"gw{self._made}_{secrets.token_hex(3)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """As the owner of everything."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def run(self, program: str, *words: str) -> bytes:
        """One of the programs that come with the server, as the owner of the databases; its output."""
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", OWNER)
        done = subprocess.run(
            [str(self._programs / program), *where, *words], env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *words],
            cwd=self.folder,
            capture_output=True,
            check=False,
            **self._as_user(),
        )
        assert done.returncode == 0, done.stderr.decode()

    def _as_user(self) -> dict[str, object]:
        """The server refuses to run as root."""
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)


def _ends_with_this_process() -> None:
    """Runs in the child, after it has become another user: a run that is killed leaves no server behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0)


def _bond() -> Callable[[], None] | None:
    """The kernel ends the server with the thread that started it, so only the main thread may ask for that."""
    return _ends_with_this_process if threading.current_thread() is threading.main_thread() else None


def _unprivileged() -> pwd.struct_passwd | None:
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("neither the user postgres nor the user nobody exists here")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
