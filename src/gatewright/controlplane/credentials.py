"""The registration token: read again for every attempt, so that a rotated one heals the link without a restart."""

import asyncio
from collections.abc import Callable

from pydantic import SecretStr

from gatewright.observability.logging import get_logger
from gatewright.observability.redaction import register_secret

TokenProvider = Callable[[], SecretStr]
"""Gives the present token. May block for a file; may raise OSError or ValueError, then the last one stays."""

_log = get_logger(__name__)


class Credentials:
    """The token in use. Never logged, never part of a representation."""

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self._token = ""

    @property
    def token(self) -> str:
        """What the last reading gave; empty when there is none."""
        return self._token

    async def read(self) -> bool:
        """Ask the provider; True when the token is another one than before."""
        try:
            given = (await asyncio.to_thread(self._provider)).get_secret_value().strip()
        except (OSError, ValueError) as error:
            # The words of the error may hold what was read; its kind has to do.
            _log.warning("the registration token cannot be read; the last one is used", error=type(error).__name__)
            return False
        if given == self._token:
            return False
        register_secret(given)
        self._token = given
        return True

    def usable(self) -> bool:
        """Whether the token can be sent in a header."""
        return bool(self._token) and self._token.isascii() and self._token.isprintable()
