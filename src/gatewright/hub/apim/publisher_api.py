"""The part of the Publisher REST API v4 that gateways and the people beside them use."""

from typing import Final

PUBLISHER_BASE: Final = "/api/am/publisher/v4"
