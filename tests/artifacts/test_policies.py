"""Definitions, version resolution, and what is wrong with references."""

from collections.abc import Callable
from typing import Any

import pytest

from gatewright.artifacts.policies import (
    InvalidPolicyDefinition,
    PolicyCatalogue,
    PolicyDefinition,
    PolicyNotFound,
)

Problems = Callable[[Any], list[tuple[str, str]]]
LOADED = "not found in loaded policy definitions"
FULL = "version must be major-only (e.g., v1); full semantic version (e.g., v1.0.0) is not allowed"


@pytest.mark.parametrize(
    ("name", "version", "resolved"),
    [
        ("quota", "v1", "v1.2.3"),
        ("quota", " v2 ", "v2.0.0"),
        ("quota", "", "v2.0.0"),
        ("two", "", "v1.10.0"),
        ("free", "v0", "v0.9.0"),
    ],
)
def test_a_reference_finds_its_definition(catalogue: PolicyCatalogue, name: str, version: str, resolved: str) -> None:
    found = catalogue.resolve(name, version)
    assert isinstance(found, PolicyDefinition)
    assert found.version == resolved


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("nope", "", f"policy 'nope' {LOADED}"),
        ("nope", "v1", f"policy 'nope' major version 'v1' {LOADED}"),
        ("quota", "v3", f"policy 'quota' major version 'v3' {LOADED}"),
        ("quota", "v01", f"policy 'quota' major version 'v01' {LOADED}"),
        ("quota", "v" + "9" * 5000, f"policy 'quota' major version 'v{'9' * 5000}' {LOADED}"),
        ("two", "v1", "multiple matching versions for policy 'two' major 'v1'; cannot resolve uniquely"),
        ("quota", "v1.2.3", f"policy 'quota' {FULL}"),
        *(
            (
                "quota",
                version,
                f"invalid version format '{version}' for policy 'quota'; expected major-only version (e.g., v1)",
            )
            for version in ("latest", "1", "v1.2", "V1", "v1 x", "v\u0661")
        ),
    ],
)
def test_a_reference_without_definition(catalogue: PolicyCatalogue, name: str, version: str, message: str) -> None:
    assert catalogue.resolve(name, version) == PolicyNotFound(message)


@pytest.mark.conforms("MG-079", "DP-065", "DP-066")
def test_references_are_reported_at_their_place(document: dict[str, Any], problems: Problems) -> None:
    document["spec"]["policies"] = [
        {"name": "free", "version": "v0"},
        {"name": "quota", "version": "v1.0.0"},
        {"name": "quota", "version": "latest"},
        {"name": "quota", "version": "v1.2"},
    ]
    document["spec"]["operations"][0]["policies"] = [{"name": "nope"}, {"name": "nope", "version": "v1"}, {}]
    assert problems(document) == [
        ("spec.policies[1].version", f"policy 'quota' {FULL}"),
        (
            "spec.policies[2].version",
            "invalid version format 'latest' for policy 'quota'; expected major-only version (e.g., v1)",
        ),
        (
            "spec.policies[3].version",
            "invalid version format 'v1.2' for policy 'quota'; expected major-only version (e.g., v1)",
        ),
        ("spec.operations[0].policies[0].version", f"policy 'nope' {LOADED}"),
        ("spec.operations[0].policies[1].version", f"policy 'nope' major version 'v1' {LOADED}"),
        ("spec.operations[0].policies[2].version", f"policy '' {LOADED}"),
    ]


@pytest.mark.conforms("MG-080")
@pytest.mark.parametrize("reference", [{"name": "quota"}, {"name": "quota", "version": ""}])
def test_without_a_version_the_latest_is_checked(
    document: dict[str, Any], problems: Problems, reference: dict[str, str]
) -> None:
    document["spec"]["policies"] = [reference]  # v1 requires a limit, v2 takes anything
    assert problems(document) == []


@pytest.mark.conforms("MG-082")
def test_required_parameters_are_enforced_without_params(document: dict[str, Any], problems: Problems) -> None:
    document["spec"]["policies"] = [{"name": "quota", "version": "v1"}]
    assert problems(document) == [("spec.policies[0].params", "limit is required")]


@pytest.mark.conforms("MG-083")
def test_texts_pass_for_numbers(document: dict[str, Any], problems: Problems) -> None:
    document["spec"]["policies"] = [{"name": "quota", "version": "v1", "params": {"limit": "10"}}]
    assert problems(document) == []
    document["spec"]["policies"][0]["params"]["limit"] = "ten"
    assert problems(document) == [("spec.policies[0].params.limit", "Invalid type. Expected: integer, given: string")]


def test_the_catalogue_lists_its_definitions(catalogue: PolicyCatalogue) -> None:
    assert len(catalogue) == 5
    assert [f"{d.name}@{d.version}" for d in catalogue] == [
        "free@v0.9.0",
        "quota@v1.2.3",
        "quota@v2.0.0",
        "two@v1.0.0",
        "two@v1.10.0",
    ]


def test_definitions_are_read_from_their_files_form() -> None:
    definition = PolicyDefinition.from_document(
        {
            "name": "x",
            "version": "v1.2.3",
            "displayName": "X",
            "parameters": {"type": "object"},
            "systemParameters": {"type": "object"},
            "other": 1,
        }
    )
    assert definition.key == (1, 2, 3)
    assert definition.display_name == "X"
    assert definition.parameters == {"type": "object"}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": " ", "version": "v1.0.0"},
        {"name": "x"},
        {"name": "x", "version": "v1"},
        {"name": "x", "version": 1.0},
        {"name": "x", "version": "v1.0.0", "parameters": []},
    ],
)
def test_bad_definitions_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicyDefinition):
        PolicyDefinition.from_document(document)


def test_a_definition_cannot_be_there_twice() -> None:
    with pytest.raises(InvalidPolicyDefinition, match="defined twice"):
        PolicyCatalogue([PolicyDefinition("x", "v1.0.0"), PolicyDefinition("x", "v1.0.0")])
