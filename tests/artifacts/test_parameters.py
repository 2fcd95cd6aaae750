"""Parameter schemas: texts of the problems, coercion, and that values never show."""

from typing import Any

import pytest

from gatewright.artifacts.parameters import ParameterSchema


def found(schema: dict[str, Any], params: dict[str, Any]) -> list[tuple[str, str]]:
    return [(p.field, p.message) for p in ParameterSchema(schema).problems(params, "p")]


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer"}, "x", "Invalid type. Expected: integer, given: string"),
        ({"type": "string"}, 5, "Invalid type. Expected: string, given: integer"),
        ({"type": "string"}, 5.5, "Invalid type. Expected: string, given: number"),
        ({"type": "string"}, True, "Invalid type. Expected: string, given: boolean"),
        ({"type": "string"}, None, "Invalid type. Expected: string, given: null"),
        ({"type": ["string", "null"]}, [], "Invalid type. Expected: null/string, given: array"),
        ({"enum": ["a", "b"]}, "c", 'a must be one of the following: "a", "b"'),
        ({"minimum": 1}, 0, "Must be greater than or equal to 1"),
        ({"maximum": 1}, 2, "Must be less than or equal to 1"),
        ({"exclusiveMinimum": 1}, 1, "Must be greater than 1"),
        ({"minLength": 2}, "x", "String length must be greater than or equal to 2"),
        ({"maxLength": 2}, "xxx", "String length must be less than or equal to 2"),
        ({"pattern": "^a$"}, "secret", "Does not match pattern '^a$'"),
        ({"minItems": 1}, [], "Array must have at least 1 items"),
        ({"maxItems": 1}, [1, 2], "Array must have at most 1 items"),
        ({"oneOf": [{"type": "null"}]}, 1, "Must validate one and only one schema (oneOf)"),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, 1, "Must validate at least one schema (anyOf)"),
        ({"not": {}}, 1, "Must not validate the schema (not)"),
    ],
)
def test_texts(schema: dict[str, Any], value: Any, message: str) -> None:
    assert found({"properties": {"a": schema}}, {"a": value}) == [("p.a", message)]


def test_objects_and_paths() -> None:
    schema = {
        "required": ["a", "b"],
        "additionalProperties": False,
        "properties": {"a": {"items": {"properties": {"limit": {"minimum": 1}}}}},
    }
    assert sorted(found(schema, {"a": [{}, {"limit": 0}], "x": 1, "y": 2})) == [
        ("p", "Additional property x is not allowed"),
        ("p", "Additional property y is not allowed"),
        ("p", "b is required"),
        ("p.a.1.limit", "Must be greater than or equal to 1"),
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"const": 1},
        {"format": "ipv4"},
        {"multipleOf": 7, "type": "number"},
        {"contains": {"type": "null"}},
        {"propertyNames": {"maxLength": 1}},
        {"if": {"type": "string"}, "then": {"maxLength": 1}},
        {"uniqueItems": True, "type": "array"},
        False,
    ],
)
def test_no_text_holds_the_value(schema: Any) -> None:
    for value in ("hunter2", ["hunter2", "hunter2"], {"k": "hunter2"}):
        messages = [m for _, m in found({"properties": {"a": schema}}, {"a": value})]
        assert not any("hunter2" in message or "\n" in message for message in messages)


@pytest.mark.parametrize("schema", [{"type": 5}, {"properties": {"a": {"pattern": "("}}}, {"$ref": "http://x/y"}])
def test_a_broken_schema_is_a_problem_not_a_crash(schema: dict[str, Any]) -> None:
    ((field, message),) = found(schema, {"a": 1})
    assert field == "p"
    assert message.startswith("Failed to validate policy parameters: ")


def test_patterns_with_look_around_work() -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^(?!x)"}}}
    assert found(schema, {"a": "y"}) == []
    assert found(schema, {"a": "x"}) == [("p.a", "Does not match pattern '^(?!x)'")]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "10", 10),
        ("integer", "-3", -3),
        ("integer", "1.5", "1.5"),
        ("integer", "9" * 30, "9" * 30),
        ("number", "1.5", 1.5),
        ("number", "1e3", 1000.0),
        ("number", "NaN", "NaN"),
        ("number", "1e999", "1e999"),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("boolean", "True", "True"),
        ("string", "5", "5"),
        (["integer", "string"], "5", "5"),
        (None, "5", "5"),
    ],
)
def test_coercion_of_texts(kind: Any, text: str, value: Any) -> None:
    schema = ParameterSchema({"properties": {"a": {"items": {"properties": {"b": {"type": kind}}}}}})
    params = {"a": [{"b": text, "c": "1"}], "d": "1"}
    result = schema.coerce(params)
    assert result == {"a": [{"b": value, "c": "1"}], "d": "1"}
    assert type(result["a"][0]["b"]) is type(value)
    assert params["a"][0]["b"] == text, "the source must not change"


def test_without_a_schema_everything_passes() -> None:
    schema = ParameterSchema(None)
    assert schema.coerce({"a": "1"}) == {"a": "1"}
    assert list(schema.problems({"a": "1"}, "p")) == []
