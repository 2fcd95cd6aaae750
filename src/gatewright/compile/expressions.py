"""Regular expressions as Envoy takes them: RE2, Latin-1, a limit on the size of the compiled program.

What this module accepts, the router accepts: its bootstrap sets the same limit (`re2.max_program_size.error_level`).
"""

from functools import lru_cache

import re2

from gatewright.compile.errors import CompileError

MAX_PROGRAM_SIZE = 400
SURELY_SMALL = 150  # bytes; an expression of literals and `[^/]+` compiles to fewer than two instructions per byte


def check_expression(expression: str, field: str) -> None:
    """Raises CompileError when Envoy would refuse the expression."""
    problem = _problem(expression)
    if problem is not None:
        code, message, advice = problem
        raise CompileError(code, message, field, advice)


@lru_cache(maxsize=4096)
def _problem(expression: str) -> tuple[str, str, str] | None:
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
    if size > MAX_PROGRAM_SIZE:
        return (
            "REGEX_TOO_LARGE",
            f"the expression compiles to a program of {size} instructions, more than {MAX_PROGRAM_SIZE}",
            "Shorten it: fewer parameters, shorter literals, smaller repetitions",
        )
    return None
