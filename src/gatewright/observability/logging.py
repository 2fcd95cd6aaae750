"""The process log: one renderer for Gatewright's own lines and for those of its libraries.

`configure_logging` is called once per process, by the command that starts it. Everywhere else: `get_logger(__name__)`
and keyword arguments. Lines go to standard error, as text for people or as JSON for collectors; each carries the
component and, inside `correlation(...)`, the correlation id. Secrets are redacted by type and by value
(`redaction.py`); no traceback shows local variables.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import structlog
from pydantic import SecretBytes, SecretStr

from gatewright.observability import tracing
from gatewright.observability.redaction import MASK, mask_secrets, register_secret

__all__ = ["LogFormat", "configure_logging", "correlation", "get_logger", "register_secret"]

LogFormat = Literal["text", "json"]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

# At debug these print whole requests, credentials in headers included, or a line per frame.
_LIBRARY_FLOOR = {
    "websockets": logging.INFO,
    "uvicorn": logging.INFO,
    "uvicorn.access": logging.WARNING,
    "grpc": logging.INFO,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "hpack": logging.WARNING,
    "asyncio": logging.INFO,
    "sqlalchemy": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,
    # A collector that is away is told once a minute, not at every attempt.
    "opentelemetry": logging.ERROR,
}

_MAX_DEPTH = 6
_MAX_VALUE = 8192
"""Characters of one rendered value; a hostile document must not become a megabyte of log."""


def configure_logging(
    component: str,
    *,
    level: str = "info",
    log_format: LogFormat = "text",
    stream: TextIO | None = None,
) -> None:
    """Set up the log of this process; a second call replaces the first.

    `level` is one of debug, info, warn, warning, error in any case (ValueError otherwise). `stream` defaults to
    standard error as it is when a line is written. Start uvicorn with `log_config=None`, else it installs
    handlers of its own.
    """
    number = _LEVELS.get(level.lower())
    if number is None:
        raise ValueError(f"unknown log level {level!r}: use one of {', '.join(_LEVELS)}")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _component_adder(component),
        _add_trace,
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    render = _render_json if log_format == "json" else _render_text
    handler = _StandardErrorHandler(stream)
    handler.setFormatter(
        _MaskingFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redact_types, render],
        ),
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, _StandardErrorHandler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    _adopt_libraries(number)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one module; `name` is its `__name__`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def correlation(correlation_id: str) -> Iterator[None]:
    """Every line written inside, also in tasks started inside, carries `correlation_id`."""
    with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
        yield


class _StandardErrorHandler(logging.StreamHandler[TextIO]):
    """Writes to a given stream, or to whatever standard error is at that moment."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        self._follow = stream is None

    def emit(self, record: logging.LogRecord) -> None:
        if self._follow:
            self.stream = sys.stderr
        super().emit(record)


class _MaskingFormatter(structlog.stdlib.ProcessorFormatter):
    """The last thing before the stream: no registered secret leaves in a finished line."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_secrets(super().format(record))


def _adopt_libraries(level: int) -> None:
    for name, floor in _LIBRARY_FLOOR.items():
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(max(floor, level))


def _component_adder(component: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("component", component)
        return event

    return add


def _add_trace(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """With tracing on, the trace that belongs to the correlation id, as collectors look for it."""
    if tracing.enabled() and event.get("correlation_id"):
        event.setdefault("trace_id", tracing.trace_id(str(event["correlation_id"])))
    return event


def _redact_types(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _plain(value, 0) for key, value in event.items()}


def _plain(value: object, depth: int) -> object:
    """`value` as JSON-ready data with secrets replaced by type, bounded in depth and size."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if depth < _MAX_DEPTH:
        if isinstance(value, Mapping):
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_plain(item, depth + 1) for item in value]
    text = value if isinstance(value, str) else str(value)
    # Masked before it is cut, so that no first half of a secret survives at the edge.
    text = mask_secrets(text)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}… ({len(text)} characters)"


def _render_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """One object per line, with the key names of the original's log: time, level, msg, then the rest."""
    head = {
        "time": event.pop("timestamp", ""),
        "level": _level_name(event),
        "component": event.pop("component", ""),
        "msg": event.pop("event", ""),
    }
    return json.dumps({**head, **event}, ensure_ascii=False, separators=(",", ":"))


def _render_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    timestamp = event.pop("timestamp", "")
    level = _level_name(event)
    component = event.pop("component", "")
    message = _one_line(str(event.pop("event", "")))
    exception = event.pop("exception", None)
    event.pop("logger", None)
    fields = "".join(f" {key}={_quoted(value)}" for key, value in event.items())
    line = f"{timestamp} {level:<5} [{component}] {message}{fields}"
    return f"{line}\n{exception}" if exception else line


def _level_name(event: MutableMapping[str, Any]) -> str:
    level = str(event.pop("level", "info")).upper()
    return {"WARNING": "WARN", "CRITICAL": "ERROR", "EXCEPTION": "ERROR"}.get(level, level)


def _quoted(value: object) -> str:
    if isinstance(value, str):
        plain = value and value.isprintable() and not any(char in value for char in ' "=')
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    """Control characters escaped: text from outside must not be able to forge a second line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
