"""A stand-in API Manager for each test."""

import pytest

from support.apim import running


@pytest.fixture
async def apim(tmp_path):
    """With default settings, on a data directory of its own."""
    async with running(tmp_path / "apim") as made:
        yield made
