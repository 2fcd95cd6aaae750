"""Query parameters as API Manager reads them."""

from typing import Final

from starlette.requests import Request

from gatewright.hub.apim.problems import Refusal

DEFAULT_PAGE: Final = 25
MAX_PAGE: Final = 1000


def flag(request: Request, name: str, *, default: bool | None = None) -> bool:
    """`true` or `false`. Raises Refusal 400 for anything else, also for a missing one without default."""
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text not in {"true", "false"}:
        raise Refusal(400, f"The query parameter {name} must be true or false.")
    return text == "true"


def page(request: Request) -> tuple[int, int]:
    """Offset and limit of a list. Raises Refusal 400."""
    return _number(request, "offset", 0), min(_number(request, "limit", DEFAULT_PAGE), MAX_PAGE)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refusal(400, f"The query parameter {name} must be a number.")
    return int(text)
