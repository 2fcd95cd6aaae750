"""Execution conditions of policies: CEL expressions over the request. Source: data plane reference, section 19."""

from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from gatewright.policies.contract import RequestHeaders

CACHED_EXPRESSIONS = 1024


class ConditionFailed(Exception):
    """A condition does not compile, fails, or yields no boolean. The request cannot be decided."""


def holds(expression: str, request: RequestHeaders) -> bool:
    """Whether a condition is true for the headers of a request. Raises ConditionFailed."""
    result = _compiled(expression).eval(data=_variables(request))
    value = result.value()
    if not isinstance(value, bool):
        raise ConditionFailed(f"condition {expression!r} yields {value!r} instead of true or false")
    return value


def _environment() -> cel.Env:
    structure = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables={"request": structure, "response": structure, "processing": structure})


@lru_cache(maxsize=CACHED_EXPRESSIONS)
def _compiled(expression: str) -> cel.Expression:
    try:
        return _environment().compile(expression)
    except RuntimeError as error:
        raise ConditionFailed(f"condition {expression!r} does not compile: {error}") from error


def _variables(request: RequestHeaders) -> dict[str, Any]:
    headers = {name: list(values) for name, values in request.headers.items()}
    headers[":path"] = [request.path]
    headers[":method"] = [request.method]
    request_id = request.first("x-request-id") or ""
    return {
        "processing": {"phase": "request_headers"},
        "request": {
            "Headers": headers,
            "Body": None,
            "Path": request.path,
            "Method": request.method,
            "RequestID": request_id,
            "Metadata": {},
        },
        "response": {
            "RequestHeaders": headers,
            "RequestBody": None,
            "RequestPath": request.path,
            "RequestMethod": request.method,
            "RequestID": request_id,
            "Metadata": {},
            "ResponseHeaders": {},
            "ResponseBody": None,
            "ResponseStatus": 0,
        },
    }
