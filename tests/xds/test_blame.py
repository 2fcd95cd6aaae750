"""What a refusal's text says."""

import pytest

from gatewright.envoy.resource import CLUSTER, LISTENER, SCOPE
from gatewright.xds.blame import CUT_AT, named, transient


def test_the_named_are_blamed_and_nobody_else() -> None:
    text = "Error adding/updating cluster(s) pets: malformed IP address: x, toys-v2: bad"

    assert named(CLUSTER, text, ["pets", "pets-v2", "toys", "toys-v2", "v2", "other"]) == ["pets", "toys-v2"]


def test_names_with_odd_characters_are_found() -> None:
    text = "Error adding/updating listener(s) GET|/a/b|*: bad"

    assert named(LISTENER, text, ["GET|/a/b|*", "GET|/a"]) == ["GET|/a/b|*"]


def test_a_name_at_the_end_of_a_sentence_counts() -> None:
    assert named(CLUSTER, "no such cluster: pets.", ["pets"]) == ["pets"]


@pytest.mark.parametrize(("type_url", "text"), [(SCOPE, "pets: bad"), (CLUSTER, "pets: " + "x" * CUT_AT)])
def test_texts_that_may_name_too_few_are_not_trusted(type_url: str, text: str) -> None:
    assert named(type_url, text, ["pets"]) == []


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("cannot bind '0.0.0.0:80': Address already in use", True),
        ("Too many open files", True),
        ("missing ]: [", False),
    ],
)
def test_reasons_outside_of_the_resource_may_pass(text: str, passes: bool) -> None:
    assert transient(text) is passes
