"""Paths and parameters, without a server."""

import pytest

from gatewright.management.matching import (
    BadParameter,
    Match,
    Operation,
    RouteTable,
    WrongMethod,
    bound,
    cleaned,
    single_valued,
)


async def endpoint(call):
    raise NotImplementedError


def operation(method, path):
    return Operation(method, path, endpoint, frozenset({"admin"}))


@pytest.fixture
def table():
    return RouteTable(
        [
            operation("GET", "/things"),
            operation("POST", "/things"),
            operation("DELETE", "/things/{id}"),
            operation("POST", "/things/reload"),
            operation("GET", "/things/{id}/parts/{part}"),
        ]
    )


def test_a_parameter_takes_one_segment_that_is_not_empty(table):
    assert table.find("/things/a/parts/b%2Fc", "GET").parameters == {"id": "a", "part": "b%2Fc"}
    assert table.find("/things/a/parts/", "GET") is None
    assert table.find("/things/a/parts/b/c", "GET") is None


def test_a_literal_segment_wins_where_the_method_fits(table):
    assert table.find("/things/reload", "POST").operation.path == "/things/reload"
    assert table.find("/things/reload", "DELETE").operation.path == "/things/{id}"
    assert table.find("/things/reload", "PUT") == WrongMethod(["DELETE", "POST"])


def test_head_is_a_get_without_a_body(table):
    assert isinstance(table.find("/things", "HEAD"), Match)
    assert table.find("/things", "OPTIONS") == WrongMethod(["GET", "HEAD", "POST"])
    assert table.find("/things/x", "HEAD") == WrongMethod(["DELETE"])


@pytest.mark.parametrize("path", ["", "/", "*", "things", "/other", "/things/", "//things", "/things/a/parts"])
def test_whatever_is_not_in_the_table_is_unknown(table, path):
    assert table.find(path, "GET") is None


def test_a_long_path_costs_no_more_than_the_table_is_deep(table):
    assert table.find("/things" + "/a" * 30_000, "GET") is None


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/a/b", "/a/b"),
        ("/a//b", "/a/b"),
        ("/a/./b/", "/a/b/"),
        ("/a/../../b", "/b"),
        ("//evil.example/x", "/evil.example/x"),
        ("/..", "/"),
        ("/a/..b", "/a/..b"),
        ("/a/.hidden", "/a/.hidden"),
    ],
)
def test_paths_are_cleaned(path, clean):
    assert cleaned(path) == clean


def test_parameters_are_decoded_once():
    assert bound({"id": "a%2Fb%20%C3%A9%2525"}) == {"id": "a/b é%25"}


@pytest.mark.parametrize("sent", ["%", "%z", "a%2", "%zz", "%ff", "%C3%28"])
def test_what_is_no_percent_encoded_utf_8_is_refused_by_name(sent):
    with pytest.raises(BadParameter, match=r"^Invalid format for parameter id: "):
        bound({"id": sent})


def test_known_query_parameters_may_be_given_once():
    known = frozenset({"version", "status"})
    assert single_valued("version=v1&limit=1&limit=2&status=", known) == {"version": "v1", "status": ""}
    with pytest.raises(BadParameter, match="multiple values for single value parameter 'version'"):
        single_valued("version=1&version=2", known)
    with pytest.raises(BadParameter, match="more than 100 parameters"):
        single_valued("&".join(f"p{number}=1" for number in range(200)), known)
