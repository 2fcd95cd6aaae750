"""Clients that ask without a pause, and what became of each of their requests."""

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from deploy_network import Network


@dataclass
class Load:
    """Runs with `with`. `kept` clients hold their connection as long as the server does; others make one for each."""

    network: Network
    address: str
    port: int
    path: str
    clients: int = 2
    kept: int = 1
    answered: int = 0
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._counting = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for number in range(self.clients + self.kept):
            one = self._one_connection if number >= self.clients else self._many_connections
            thread = threading.Thread(target=self.network.inside, args=(one,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _many_connections(self) -> None:
        while not self._ended.wait(0.02):
            connection = self._connection()
            self._ask(connection)
            connection.close()

    def _one_connection(self) -> None:
        connection = self._connection()
        while not self._ended.wait(0.02):
            if not self._ask(connection):
                connection.close()
                connection = self._connection()
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, self.port, timeout=30)

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """False when the connection cannot be used again."""
        try:
            connection.request("GET", self.path)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._count(f"{type(error).__name__}: {error}")
            return False
        self._count("" if response.status == 200 else f"status {response.status}")
        return not response.will_close

    def _count(self, failure: str) -> None:
        with self._counting:
            if failure:
                self.failed.append(f"{time.strftime('%H:%M:%S')} {failure}")
            else:
                self.answered += 1
