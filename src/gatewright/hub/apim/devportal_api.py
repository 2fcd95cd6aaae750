"""The part of the DevPortal REST API v3 that concerns API keys."""

from typing import Final

DEVPORTAL_BASE: Final = "/api/am/devportal/v3"
