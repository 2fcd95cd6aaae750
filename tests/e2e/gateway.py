"""Real processes for tests: `gatewright up`, `controller`, `router` and `hub`, each with private data and free ports.

    with Gateway(folder) as gateway:
        gateway.deploy(rest_api("orders", backend.port))
        assert gateway.get("/orders/items").status == 200

Nothing here knows the insides of the product: it starts the command that people type, and talks to its ports. When a
process ends, its log and its data are searched for every secret that the test knows.
"""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
from envoy_harness import Reply, call

from gatewright.hub.client import HubClient
from gatewright.router import launcher

Answered = TypeVar("Answered")

HOST = "127.0.0.1"
PROGRAM = (sys.executable, "-m", "gatewright.cli.main")
USER = "admin"
PATIENCE = 60.0
"""Seconds until a test gives up waiting for something that comes in well under one; processes start in about two."""

_PORTS = range(10_000, 20_000)
"""Below the range from which systems take ports of outgoing connections; another part for each worker of a run."""

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "USER", "PYTHONPATH")

running: list["Process"] = []
"""Started and not yet ended: their logs belong to the report of a failure."""

made: list["Gateway | Hub"] = []
"""Everything that was made, so that what a test makes does not outlive it."""

ended: list["Process"] = []
"""Ended during the present test: so do theirs."""


def until(holds: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """Wait for something that shows in answers only; returns the first true value."""
    deadline = time.monotonic() + timeout
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.01)
    return value


_given: deque[int] = deque(maxlen=500)


def free_ports(count: int) -> list[int]:
    """Different ports on which nobody listens, nor will: those given lately may not be in use yet."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    share = len(_PORTS) // 10
    candidates = list(_PORTS[worker * share : (worker + 1) * share])
    random.shuffle(candidates)
    found = []
    for port in candidates:
        if port not in _given and _is_free(port):
            found.append(port)
            _given.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


class Process:
    """One child with its log in memory. Dies with the test process, and its children with it."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[object],
        *,
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.name = name
        self.secrets: set[str] = set()
        self._lines: list[str] = []
        self._more = threading.Condition()
        kept = {variable: os.environ[variable] for variable in _KEPT if variable in os.environ}
        self._child = subprocess.Popen(
            [sys.executable, launcher.__file__, str(os.getpid()), *program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**kept, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **(environ or {})},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        running.append(self)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return self._child.poll()

    @property
    def log(self) -> str:
        with self._more:
            return "\n".join(self._lines)

    def said(self, words: str) -> bool:
        """Whether a line of the log holds `words`."""
        with self._more:
            return any(words in line for line in self._lines)

    def wait_for_words(self, words: str, timeout: float = PATIENCE, *, after: int = 0) -> str:
        """The first line that holds `words`, among those from number `after` on."""

        def found() -> str | None:
            return next((line for line in self._lines[after:] if words in line), None)

        with self._more:
            if self._more.wait_for(lambda: found() is not None or not self._reader.is_alive(), timeout):
                line = found()
                if line is not None:
                    return line
        raise TimeoutError(f"{self.name} did not say {words!r} within {timeout:g} s")

    def lines_said(self) -> int:
        """How many lines there are by now, for `wait_for_words(after=…)`."""
        with self._more:
            return len(self._lines)

    def wait_for_end(self, timeout: float = PATIENCE) -> int:
        """The exit status of a process that ends by itself."""
        status = self._child.wait(timeout)
        self._forget()
        return status

    def stop(self, timeout: float = PATIENCE) -> int:
        """SIGTERM, and SIGKILL when that takes too long; the exit status."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        return self.wait_for_end()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._child.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel does when memory runs out."""
        self._child.kill()
        self._child.wait()
        self._forget()

    def children(self) -> list[int]:
        """Process ids of its direct children."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError):  # threads come and go
                found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def envoy(self) -> int:
        """Process id of its Envoy."""

        def look() -> int | None:
            return next((child for child in self.children() if _command(child).endswith("/envoy")), None)

        return int(until(look, f"{self.name} has an Envoy"))

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as output:
            for raw in output:
                with self._more:
                    self._lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                    self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def _forget(self) -> None:
        self._reader.join(PATIENCE)
        if self in running:
            running.remove(self)
            ended.append(self)
        leaked = [secret for secret in self.secrets if secret in self.log]
        assert not leaked, f"{self.name} wrote {len(leaked)} secrets to its log"


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def toml(tables: Mapping[str, Any], prefix: str = "") -> str:
    """Nested mappings as TOML; lists of mappings become arrays of tables."""
    plain, nested = "", ""
    for name, value in tables.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            nested += f"\n[{path}]\n{toml(value, path + '.')}"
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            nested += "".join(f"\n[[{path}]]\n{toml(item, path + '.')}" for item in value)
        else:
            plain += f"{name} = {json.dumps(value)}\n"
    return plain + nested


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the tables of `over` laid over it."""
    result = dict(base)
    for name, value in over.items():
        below = result.get(name)
        result[name] = merged(below, value) if isinstance(value, Mapping) and isinstance(below, Mapping) else value
    return result


class Answer:
    """What the management API said of a write, with the change that it made."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.text = response.text
        self.change = response.headers.get("x-gatewright-change", "")
        self.json: Any = json.loads(response.text) if response.text.startswith(("{", "[")) else None


class Gateway:
    """Configuration, process and clients of one gateway. `start` again after `stop` or `kill`: data and ports stay.

    `role`: up, controller or router. `over` is laid over the configuration, as nested tables. `program`: what is
    started instead of the command that people type.
    """

    def __init__(
        self,
        folder: Path,
        over: Mapping[str, Any] | None = None,
        *,
        role: str = "up",
        environ: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.folder = folder
        self._program = program
        self.data_dir = folder / "data"
        self.role = role
        self.password = f"canary-password-{random.randbytes(12).hex()}"
        self.secrets = {self.password}
        self.environ = dict(environ or {})
        names = ("management", "admin", "metrics", "xds", "http", "https", "router_admin")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        token = ((over or {}).get("controller") or {}).get("controlplane", {}).get("token")
        if token:
            self.secrets.add(token)
        self.configuration = merged(self._defaults(), over or {})
        self._process: Process | None = None
        made.append(self)
        self.management = httpx2.Client(
            base_url=f"http://{HOST}:{self.ports['management']}/api/management/v1",
            auth=httpx2.BasicAuth(USER, self.password),
            trust_env=False,
            verify=False,
            timeout=PATIENCE,
        )
        self.admin = httpx2.Client(
            base_url=f"http://{HOST}:{self.ports['admin']}/api/admin/v1",
            auth=httpx2.BasicAuth(USER, self.password),
            trust_env=False,
            verify=False,
            timeout=PATIENCE,
        )

    @property
    def process(self) -> Process:
        """The present one, or the last one."""
        assert self._process is not None, "not started yet"
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.status is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- life ------------------------------------------------------------------------------------------------------

    def launch(self) -> Process:
        """Start the process and return at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "gateway.toml"
        file.write_text(toml(self.configuration))
        self._process = Process(
            f"gatewright {self.role}",
            (self.role, "--config", file, "--data-dir", self.data_dir),
            environ=self.environ,
            program=self._program,
        )
        self._process.secrets = self.secrets
        return self._process

    def start(self) -> Self:
        """Start, and wait until clients are served (a controller alone: until it is ready)."""
        self.launch()
        try:
            if self.role != "router":
                self.wait_for_controller()
            if self.role != "controller":
                self.wait_for_router()
        except BaseException:
            self.process.kill()
            raise
        return self

    def wait_for_controller(self) -> None:
        until(lambda: self._alive() and self._controller_is_ready(), f"{self.role} is ready")

    def wait_for_router(self) -> None:
        until(lambda: self._alive() and self._router_is_ready(), f"{self.role} serves clients")

    def stop(self) -> None:
        """SIGTERM; it must end well."""
        status = self.process.stop()
        assert status == 0, f"exit status {status}"

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self.process.kill()

    def close(self) -> None:
        """Stop if it runs; no secret stays behind in log or data."""
        try:
            if self.is_running:
                self.stop()
        finally:
            self.management.close()
            self.admin.close()
        found = leaks(self.data_dir, self.secrets)
        assert not found, f"secrets stand in {found}"

    def _alive(self) -> bool:
        if self.process.status is not None:
            raise AssertionError(f"{self.process.name} ended with {self.process.status}")
        return True

    def _controller_is_ready(self) -> bool:
        try:
            return self.admin.get("/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def _router_is_ready(self) -> bool:
        try:
            return self.get("/_gateway-health/ready").status == 200
        except OSError:
            return False

    # -- management ------------------------------------------------------------------------------------------------

    def post(self, document: Mapping[str, Any]) -> Answer:
        """Create a REST API."""
        return Answer(self.management.post("/rest-apis", json=document))

    def put(self, document: Mapping[str, Any]) -> Answer:
        """Replace a REST API."""
        return Answer(self.management.put(f"/rest-apis/{document['metadata']['name']}", json=document))

    def delete(self, handle: str) -> Answer:
        return Answer(self.management.delete(f"/rest-apis/{handle}"))

    def served(self, answer: Answer, state: str = "served") -> dict[str, Any]:
        """Wait until the routers have the change of `answer`; what they made of it must be `state`."""
        assert answer.status < 300, answer.text
        response = self.management.get(f"/serving/{answer.change}", params={"timeout": "20"})
        serving: dict[str, Any] = response.json()
        assert serving.get("state") == state, serving
        return serving

    def deploy(self, document: Mapping[str, Any]) -> Answer:
        """Create and wait until it is served."""
        answer = self.post(document)
        self.served(answer)
        return answer

    def replace(self, document: Mapping[str, Any]) -> Answer:
        """Replace and wait until it is served."""
        answer = self.put(document)
        self.served(answer)
        return answer

    def remove(self, handle: str) -> None:
        """Delete and wait until it is gone."""
        self.served(self.delete(handle))

    def create_key(self, handle: str, name: str, **body: Any) -> str:
        """A key, once routers know it."""
        answer = Answer(self.management.post(f"/rest-apis/{handle}/api-keys", json={"name": name, **body}))
        self.served(answer)
        key: str = answer.json["apiKey"].get("apiKey") or body["apiKey"]
        self.secrets.add(key)
        return key

    def status(self) -> dict[str, Any]:
        response = self.admin.get("/status")
        assert response.status_code == 200, response.text
        status: dict[str, Any] = response.json()
        return status

    def artifact(self, handle: str) -> dict[str, Any]:
        """One artifact as the status shows it."""
        for artifact in self.status()["artifacts"]:
            if artifact["handle"] == handle:
                return dict(artifact)
        return {}

    @property
    def link(self) -> dict[str, Any]:
        """The link to the control plane as the status shows it."""
        return dict(self.status()["controlPlane"])

    def wait_for_link(self, state: str = "connected", timeout: float = PATIENCE) -> dict[str, Any]:
        link: dict[str, Any] = until(
            lambda: (shown := self.link)["state"] == state and shown, f"the link is {state}", timeout
        )
        return link

    # -- data plane ------------------------------------------------------------------------------------------------

    def get(self, path: str, **options: Any) -> Reply:
        """One request through Envoy on a connection of its own."""
        return call(self.ports["http"], path, **options)

    @contextmanager
    def undisturbed(self, *paths: str, status: int = 200, threads: int = 1) -> Iterator["Traffic"]:
        """Requests all the while; every one of them must be answered with `status`."""
        traffic = Traffic(self.ports["http"], paths, status, threads)
        try:
            yield traffic
        finally:
            traffic.stop()
        assert traffic.failures == [], f"{len(traffic.failures)} of {traffic.count}: {traffic.failures[:5]}"
        assert traffic.count > 0

    def _defaults(self) -> dict[str, Any]:
        ports = self.ports
        keys = [{"version": "aesgcm256-v1", "file": str(self.data_dir / "keys" / "aesgcm256-v1.bin")}]
        return {
            "controller": {
                "server": {"api_port": ports["management"], "xds_port": ports["xds"], "shutdown_timeout": "2s"},
                "admin_server": {"port": ports["admin"], "config_dump": {"enabled": True}},
                "metrics": {"enabled": True, "port": ports["metrics"]},
                "storage": {"sqlite": {"path": str(self.data_dir / "gateway.db")}},
                "encryption": {"providers": [{"type": "aesgcm", "keys": keys}]},
                "auth": {"basic": {"users": [{"username": USER, "password": self.password, "roles": ["admin"]}]}},
                "logging": {"level": "debug"},
            },
            "router": {"listener_port": ports["http"], "https_port": ports["https"]},
            "policy_engine": {"admin": {"port": ports["router_admin"]}},
            "gatewright": {
                "envoy": {"concurrency": 1, "drain_time_seconds": 1, "restart_backoff_max": "1s"},
                "generate_encryption_keys": True,
                "bind": dict.fromkeys(("management", "admin", "metrics", "xds", "router", "router_admin"), HOST),
            },
        }


def leaks(folder: Path, secrets: Iterable[str]) -> list[str]:
    """Files below `folder` that hold one of `secrets` in clear."""
    known = [secret.encode() for secret in secrets]
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            found += [file.name for secret in known if secret in content]
    return found


class Traffic:
    """Steady requests from threads on kept connections."""

    def __init__(self, port: int, paths: Sequence[str], status: int, threads: int) -> None:
        self.count = 0
        self.failures: list[str] = []
        self._status = status
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(port, paths), daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()
        self.proceed(threads)

    def proceed(self, requests: int = 20) -> None:
        """Wait until so many further requests are answered."""
        with self._changed:
            target = self.count + requests
            if not self._changed.wait_for(lambda: self.count >= target, PATIENCE):
                raise TimeoutError(f"requests have come to a halt after {self.count}: {self.failures[:5]}")

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self, port: int, paths: Sequence[str]) -> None:
        with httpx2.Client(base_url=f"http://{HOST}:{port}", trust_env=False, verify=False, timeout=10) as client:
            while not self._over.is_set():
                for path in paths:
                    self._ask(client, path)
                self._over.wait(0.004)

    def _ask(self, client: httpx2.Client, path: str) -> None:
        failure = ""
        try:
            response = client.get(path)
        except httpx2.TransportError as error:
            failure = f"{path}: {type(error).__name__} {error}"
        else:
            if response.status_code != self._status:
                failure = f"{path}: {response.status_code} {response.text[:100]}"
        with self._changed:
            self.count += 1
            if failure:
                self.failures.append(failure)
            self._changed.notify_all()


def rest_api(handle: str, port: int, **spec: Any) -> dict[str, Any]:
    """A document: `context` is `/<handle>` unless given; one GET operation `/items` unless given."""
    base = spec.pop("base", "")
    metadata = {"name": handle, "annotations": spec.pop("annotations", {})}
    return {
        "apiVersion": "gateway.api-platform.wso2.com/v1",
        "kind": "RestApi",
        "metadata": metadata,
        "spec": {
            "displayName": handle,
            "version": "v1.0",
            "context": f"/{handle}",
            "upstream": {"main": {"url": f"http://{HOST}:{port}{base}"}},
            "operations": [{"method": "GET", "path": "/items"}],
            **spec,
        },
    }


KEY_POLICY = {"name": "api-key-auth", "version": "v1", "params": {"key": "API-Key", "in": "header"}}


class Hub:
    """A hub process. `start` again after `stop` or `kill`: data and port stay. `program` as for a gateway."""

    def __init__(self, folder: Path, *, program: Sequence[str] = PROGRAM) -> None:
        self.data_dir = folder / "hub"
        self._program = program
        self.port = free_ports(1)[0]
        self.secrets: set[str] = set()
        self._process: Process | None = None
        made.append(self)

    @property
    def process(self) -> Process:
        """The present one, or the last one."""
        assert self._process is not None, "not started yet"
        return self._process

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.status is None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.is_running:
            self.stop()
        found = [name for name in leaks(self.data_dir, self.secrets) if name != "admin-token"]
        assert not found, f"secrets stand in {found}"

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "ca.pem"

    def start(self) -> Self:
        options = ("hub", "start", "--host", HOST, "--port", self.port, "--data-dir", self.data_dir)
        self._process = Process("gatewright hub", options, program=self._program)
        self.process.secrets = self.secrets
        try:
            until(self._is_up, "the hub answers")
        except BaseException:
            self.process.kill()
            raise
        self.secrets.add((self.data_dir / "admin-token").read_text().strip())
        return self

    def stop(self) -> None:
        status = self.process.stop()
        assert status == 0, f"exit status {status}"

    def kill(self) -> None:
        self.process.kill()

    def ask(self, question: Callable[[HubClient], Awaitable[Answered]]) -> Answered:
        """One question to the hub, from a test without an event loop."""

        async def asking() -> Answered:
            async with HubClient.from_data_dir(self.data_dir, port=self.port) as client:
                return await question(client)

        return asyncio.run(asking())

    def register(self, handle: str) -> str:
        """A gateway, and its token."""
        self.ask(lambda client: client.register(handle))
        token = self.ask(lambda client: client.issue_token(handle)).token
        self.secrets.add(token)
        return token

    def over(self, token: str, **controlplane: Any) -> dict[str, Any]:
        """Configuration of a gateway that connects here."""
        self.secrets.add(token)
        return {
            "controller": {
                "controlplane": {
                    "host": f"{HOST}:{self.port}",
                    "token": token,
                    "reconnect_initial": "100ms",
                    "reconnect_max": "1s",
                    **controlplane,
                }
            },
            "gatewright": {"controlplane": {"ca_file": str(self.ca_file)}},
        }

    def _is_up(self) -> bool:
        if self.process.status is not None:
            raise AssertionError(f"the hub ended with {self.process.status}")
        if not (self.data_dir / "admin-token").exists():
            return False
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                return True
        except OSError:
            return False
