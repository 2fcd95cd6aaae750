"""Two documents field by field."""

import msgspec
import pytest

from gatewright.controlplane.drift_fields import MOST_FIELDS, field_differences
from gatewright.controlplane.drift_judgement import with_frozen_defaults
from gatewright.observability.redaction import MASK


def spec(**members):
    return {"spec": members}


def only(wanted, stored):
    (found,), more = field_differences(spec(**wanted), spec(**stored))
    assert more == 0
    return found


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        ({}, {}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": []}, {}),
        ({"a": {}}, {"a": None}),
        ({"a": {"b": [1, {"c": "d"}]}}, {"a": {"b": [1, {"c": "d"}]}}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_the_same(wanted, stored):
    assert field_differences(spec(**wanted), spec(**stored)) == ((), 0)


@pytest.mark.parametrize(
    ("wanted", "stored", "path"),
    [
        ({"a": 1}, {"a": 2}, "spec.a"),
        ({"a": 1}, {"a": True}, "spec.a"),
        ({"a": "1"}, {"a": 1}, "spec.a"),
        ({"a": ""}, {"a": "x"}, "spec.a"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "spec.a.b"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "spec.a[1]"),
        ({"a": [1, 2]}, {"a": [1]}, "spec.a[1]"),
        ({"a": {"b": 1}}, {"a": [1]}, "spec.a"),
    ],
)
def test_different(wanted, stored, path):
    assert only(wanted, stored).path == path


def test_what_is_missing_is_unset():
    assert only({"a": 1}, {}).stored is msgspec.UNSET
    assert only({}, {"a": 1}).wanted is msgspec.UNSET


def operation(method, path, **more):
    return {"method": method, "path": path, **more}


def test_operations_are_matched_by_method_and_path():
    get, post = operation("GET", "/a"), operation("POST", "/a")
    extra = operation("GET", "/b")
    found = only({"operations": [get, post]}, {"operations": [get, extra, post]})
    assert (found.path, found.wanted) == ("spec.operations[GET /b]", msgspec.UNSET)
    changed = operation("POST", "/a", policies=[{"name": "x"}])
    assert only({"operations": [get, post]}, {"operations": [get, changed]}).path == (
        "spec.operations[POST /a].policies"
    )
    turned = only({"operations": [get, post]}, {"operations": [post, get]})
    assert (turned.why, turned.wanted) == ("order", ["GET /a", "POST /a"])


def test_repeated_operations_are_compared_by_place():
    twice = [operation("GET", "/a"), operation("GET", "/a")]
    assert only({"operations": twice}, {"operations": [twice[0], operation("GET", "/b")]}).path == (
        "spec.operations[1].path"
    )


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [
        ({"upstream": {"auth": {"value": "canary-1"}}}, {"upstream": {"auth": {"value": "canary-2"}}}),
        ({"upstream": {"auth": {"type": "api-key", "value": "canary-1"}}}, {"upstream": {}}),
        ({"params": {"clientSecret": "canary-1"}}, {"params": {"clientSecret": "canary-2"}}),
        ({"params": {"api-key": "canary-1"}}, {"params": {}}),
        ({"headers": [{"name": "Authorization", "value": "canary-1"}]}, {"headers": []}),
        ({"a": {"password": {"deep": ["canary-1"]}}}, {"a": {"password": {"deep": ["canary-2"]}}}),
    ],
)
def test_credentials_differ_without_being_shown(wanted, stored):
    found = only(wanted, stored)
    assert "canary" not in repr(found)
    assert MASK in repr(found)


def test_what_only_names_a_secret_is_shown():
    found = only({"token": '{{ secret "one" }}'}, {"token": '{{ secret "two" }}'})
    assert "one" in found.wanted
    assert "two" in found.stored


def test_bounds():
    many = {f"f{number}": number for number in range(MOST_FIELDS + 7)}
    found, more = field_differences(spec(**many), spec())
    assert (len(found), more) == (MOST_FIELDS, 7)
    long = only({"a": "x" * 10_000}, {"a": {"b": ["y" * 10_000]}})
    assert len(long.wanted) < 400
    assert len(long.stored) < 400
    assert "\x1b" not in only({"a": "\x1b[31m"}, {}).wanted


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, {"main": "old", "sandbox": "old-s"}),
        ({"main": "_gateway_default_"}, {"main": "old"}),
        ({"main": "own"}, {"main": "own"}),
    ],
)
def test_virtual_hosts_left_to_the_gateway_are_those_that_were_frozen(written, expected):
    document = spec(context="/a") if written is None else spec(context="/a", vhosts=written)
    filled = with_frozen_defaults(document, spec(vhosts={"main": "old", "sandbox": "old-s"}))
    assert filled["spec"] == {"context": "/a", "vhosts": expected}
    assert with_frozen_defaults(document, spec()) == document
