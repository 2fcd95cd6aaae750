"""Log lines as they leave the process."""

import asyncio
import io
import json
import logging

import pytest
from pydantic import SecretStr

from gatewright.observability.logging import configure_logging, correlation, get_logger
from gatewright.observability.redaction import MASK, SecretRegistry, forget_secret, register_secret


@pytest.fixture
def text() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("controller", level="info", log_format="text", stream=stream)
    return stream


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("router", level="debug", log_format="json", stream=stream)
    return stream


def records(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_text_line_has_level_component_event_and_fields(text: io.StringIO) -> None:
    get_logger("gatewright.x").info("artifact stored", artifact="pets v1", count=3)
    line = text.getvalue()
    assert 'INFO  [controller] artifact stored artifact="pets v1" count=3\n' in line


def test_json_line_is_one_object(lines: io.StringIO) -> None:
    get_logger("gatewright.x").warning("slow", seconds=1.5, items=["a", {"b": None}])
    (record,) = records(lines)
    assert record["level"] == "WARN"
    assert record["component"] == "router"
    assert record["msg"] == "slow"
    assert record["items"] == ["a", {"b": None}]
    assert record["logger"] == "gatewright.x"


def test_level_filters_own_and_library_lines(text: io.StringIO) -> None:
    get_logger("gatewright.x").debug("hidden")
    logging.getLogger("uvicorn.error").debug("hidden")
    assert text.getvalue() == ""


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn.error", "websockets.client", "grpc", "grpc._cython"])
def test_libraries_use_the_same_renderer(lines: io.StringIO, name: str) -> None:
    logging.getLogger(name).setLevel(logging.NOTSET)  # a server in the same process may have raised it
    logging.getLogger(name).info("from %s", "library")
    (record,) = records(lines)
    assert (record["msg"], record["component"], record["logger"]) == ("from library", "router", name)


def test_libraries_that_print_credentials_at_debug_are_held_at_info(lines: io.StringIO) -> None:
    logging.getLogger("websockets.client").debug("> api-key: abc")
    assert lines.getvalue() == ""


async def test_correlation_id_follows_into_tasks(lines: io.StringIO) -> None:
    async def work() -> None:
        get_logger("gatewright.x").info("inside")

    with correlation("c-1"):
        await asyncio.create_task(work())
    get_logger("gatewright.x").info("outside")
    inside, outside = records(lines)
    assert inside["correlation_id"] == "c-1"
    assert "correlation_id" not in outside


def test_secrets_are_redacted_by_type_at_any_depth(lines: io.StringIO) -> None:
    get_logger("gatewright.x").info("config", token=SecretStr("s3cret-value"), deep=[{"k": (SecretStr("other"),)}])
    (record,) = records(lines)
    assert record["token"] == MASK
    assert record["deep"] == [{"k": [MASK]}]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_registered_values_are_masked_wherever_they_come_from(log_format: str) -> None:
    stream = io.StringIO()
    configure_logging("controller", log_format=log_format, stream=stream)  # type: ignore[arg-type]
    secret = 'pa"ss/wörd\n1'
    register_secret(secret)
    try:
        log = get_logger("gatewright.x")
        log.info("event %s", secret, field=secret, nested={"x": [secret]}, url="https://u:pa%22ss%2Fw%C3%B6rd%0A1@h/")
        logging.getLogger("websockets.client").warning("library says %r", secret)
        try:
            int(secret)
        except ValueError:
            log.exception("failed")
    finally:
        forget_secret(secret)
    output = stream.getvalue()
    assert MASK in output
    for piece in ('pa"ss', 'pa\\"ss', "wörd", "w%C3%B6rd", "w\\u00f6rd"):
        assert piece not in output


def test_text_from_outside_cannot_forge_a_line(text: io.StringIO) -> None:
    get_logger("gatewright.x").info("name\n2026 ERROR forged", value="a\nb")
    assert len(text.getvalue().splitlines()) == 1


def test_a_huge_value_is_cut(lines: io.StringIO) -> None:
    get_logger("gatewright.x").info("big", body="x" * 1_000_000)
    assert len(lines.getvalue()) < 10_000


def test_unknown_level_says_which_exist() -> None:
    with pytest.raises(ValueError, match="use one of debug, info, warn, warning, error"):
        configure_logging("x", level="loud")


def test_short_values_are_not_masked_and_the_registry_is_bounded() -> None:
    registry = SecretRegistry(limit=2)
    for value in ("admin", "first-secret", "second-secret", "third-secret"):
        registry.register(value)
    assert registry.mask("admin first-secret second-secret third-secret") == f"admin first-secret {MASK} {MASK}"
