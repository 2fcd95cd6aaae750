"""Parameters of policies against their JSON Schema: coercion of rendered texts, and problems in the known texts.

Pure. Source: management API reference, sections 6.7 and 18.3. No problem text ever holds a parameter's value, since
values may be secrets.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import jsonschema_rs

from gatewright.artifacts.plain import Plain
from gatewright.artifacts.problems import ValidationProblem

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_LONGEST_NUMBER = 64  # characters


class ParameterSchema:
    """The schema of one policy's `params`, compiled at the first use. Thread-safe after that."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        """`schema` None accepts everything."""
        self._schema = schema

    def coerce(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A copy in which texts have become the numbers and booleans that the schema declares, where they read so."""
        return dict(params) if self._schema is None else _coerced(params, self._schema)

    def problems(self, params: Mapping[str, Any], field: str) -> Iterator[ValidationProblem]:
        """What is wrong with coerced parameters; `field` is the path of `params` itself."""
        if self._schema is None:
            return
        try:
            validator = self._validator
            if validator is None or validator.is_valid(params):
                return
            errors = validator.iter_errors(params)
        except ValueError as broken:
            yield ValidationProblem(field, f"Failed to validate policy parameters: {_first_line(broken)}")
            return
        for error in errors:
            path = ".".join(str(segment) for segment in error.instance_path)
            where = f"{field}.{path}" if path else field
            for message in _messages(error):
                yield ValidationProblem(where, message)

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft7Validator | None:
        if self._schema is None:
            return None
        schema = dict(self._schema)
        try:  # the linear-time engine first: parameters come from outside
            return _compile(schema, jsonschema_rs.RegexOptions())
        except ValueError:  # look-around in a pattern of the definition needs the other one
            return _compile(schema, jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000))


def _compile(
    schema: dict[str, Any], patterns: jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions
) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(
        schema, validate_formats=True, mask="the value", pattern_options=patterns, offline=True
    )


def _first_line(problem: Exception) -> str:
    return str(problem).partition("\n")[0]


def _coerced(value: Plain, schema: Plain) -> Plain:
    if not isinstance(schema, Mapping):
        return value
    if isinstance(value, Mapping):
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        return {key: _coerced(item, known.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_coerced(item, schema.get("items")) for item in value]
    return _coerced_text(value, schema.get("type")) if isinstance(value, str) else value


def _coerced_text(text: str, wanted: Plain) -> Plain:
    if wanted == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if wanted not in ("integer", "number") or len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if wanted == "number" and _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _messages(error: jsonschema_rs.ValidationError) -> Iterator[str]:
    kind: Plain = error.kind
    keyword = kind.name
    if keyword == "additionalProperties":
        for name in kind.unexpected:
            yield f"Additional property {name} is not allowed"
    elif keyword == "type":
        yield f"Invalid type. Expected: {'/'.join(kind.types)}, given: {_type_name(error.instance)}"
    elif keyword == "enum":
        field = ".".join(str(segment) for segment in error.instance_path) or "(root)"
        options = ", ".join(json.dumps(option, ensure_ascii=False) for option in kind.options)
        yield f"{field} must be one of the following: {options}"
    else:
        text = _TEXTS.get(keyword)
        yield text.format(kind.value) if text else _first_line(error)


_TEXTS: Mapping[str, str] = {
    "required": "{0} is required",
    "minimum": "Must be greater than or equal to {0}",
    "maximum": "Must be less than or equal to {0}",
    "exclusiveMinimum": "Must be greater than {0}",
    "exclusiveMaximum": "Must be less than {0}",
    "minLength": "String length must be greater than or equal to {0}",
    "maxLength": "String length must be less than or equal to {0}",
    "pattern": "Does not match pattern '{0}'",
    "minItems": "Array must have at least {0} items",
    "maxItems": "Array must have at most {0} items",
    "minProperties": "Must have at least {0} properties",
    "maxProperties": "Must have at most {0} properties",
    "uniqueItems": "Array items must be unique",
    "multipleOf": "Must be a multiple of {0}",
    "format": "Does not match format '{0}'",
    "oneOf": "Must validate one and only one schema (oneOf)",
    "anyOf": "Must validate at least one schema (anyOf)",
    "not": "Must not validate the schema (not)",
    "contains": "At least one of the items must match",
    "propertyNames": "A property name does not match its schema",
}


def _type_name(value: Plain) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list | dict):
        return "array" if isinstance(value, list) else "object"
    return "null"
