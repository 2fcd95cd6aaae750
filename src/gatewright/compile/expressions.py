"""Regular expressions as Envoy takes them: RE2, Latin-1, a limit on the size of the compiled program.

What this module accepts, the router accepts, as long as both are told the same `gatewright.envoy.re2_max_program_size`
(in Envoy's terms `re2.max_program_size.error_level`).
"""

from functools import lru_cache

import re2

from gatewright.compile.errors import CompileError

DEFAULT_LIMIT = 400
SURELY_SMALL = 150
"""Bytes: an expression of literals and `[^/]+` of that length stays below `DEFAULT_LIMIT` instructions."""


def surely_small(expression: str, limit: int) -> bool:
    """Whether an expression of literals and `[^/]+` is certain to be within the limit, without compiling it."""
    return len(expression.encode()) * DEFAULT_LIMIT <= SURELY_SMALL * limit


def check_expression(expression: str, field: str, limit: int = DEFAULT_LIMIT) -> None:
    """Raises CompileError when Envoy would refuse the expression. `limit`: instructions of its program."""
    problem = _problem(expression, limit)
    if problem is not None:
        code, message, advice = problem
        raise CompileError(code, message, field, advice)


@lru_cache(maxsize=4096)
def _problem(expression: str, limit: int) -> tuple[str, str, str] | None:
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        size = re2.compile(expression.encode(), options).programsize
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        return (
            "REGEX_INVALID",
            f"the expression {expression!r} is not valid RE2: {reason}",
            "Use RE2 syntax: no look-around, no back references",
        )
    if size > limit:
        return (
            "REGEX_TOO_LARGE",
            f"the expression compiles to a program of {size} instructions, more than {limit}",
            "Shorten it, or raise gatewright.envoy.re2_max_program_size for the controller and its routers",
        )
    return None
