"""Templates of a document on their way to API Manager: what the environment says goes in, secrets stay expressions.

API Manager cannot resolve `{{ env "X" }}`: an endpoint with it would be useless there. A secret must not leave the
gateway: `{{ secret "h" }}` stays as it is, and is resolved here when API Manager sends the document back. A text that
mixes a secret with functions, or marks a value with `redact`, stays as its author wrote it. Pure.
"""

from collections.abc import Mapping
from typing import Any, Final

from gatewright.artifacts.plain import Plain
from gatewright.artifacts.templates import Renderer, TemplateError, has_expressions

_OPEN: Final = "\ue000"
_CLOSE: Final = "\ue001"


def rendered(document: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """A copy with the strings under `spec` rendered as far as that gives no secret away. Raises TemplateError."""
    spec = document.get("spec")
    if not has_expressions(spec):
        return dict(document)
    return {**document, "spec": _walk(spec, environment)}


def _walk(value: Plain, environment: Mapping[str, str]) -> Plain:
    if isinstance(value, str):
        return _leaf(value, environment) if "{{" in value else value
    if isinstance(value, dict):
        return {name: _walk(item, environment) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, environment) for item in value]
    return value


def _leaf(text: str, environment: Mapping[str, str]) -> str:
    asked: list[str] = []

    def stand_in(handle: str) -> str:
        asked.append(handle)
        return f"{_OPEN}{handle}{_CLOSE}"

    try:
        result = Renderer(stand_in, environment).render({"spec": {"text": text}})
    except TemplateError:
        if asked:  # it may only fail for the want of the true value
            return text
        raise
    rendering: str = result.document["spec"]["text"]
    if not asked:
        return text if result.sensitive else rendering
    # Only what shows every secret exactly as often as it was asked for, untouched, can be put back as an expression.
    marks = {f"{_OPEN}{handle}{_CLOSE}" for handle in asked}
    whole = all(rendering.count(mark) == asked.count(mark[1:-1]) for mark in marks)
    if not whole or rendering.count(_OPEN) != len(asked) or result.sensitive - marks or '"' in "".join(asked):
        return text
    for mark in marks:
        rendering = rendering.replace(mark, f'{{{{ secret "{mark[1:-1]}" }}}}')
    return rendering
