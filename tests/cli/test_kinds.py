"""Kinds as people name them, and the order in which documents are applied."""

import pytest

from gatewright.cli import kinds
from gatewright.cli.exits import Failure


def test_names_are_unique():
    names = [name for kind in kinds.KINDS for name in kind.names]
    assert len(names) == len(set(names))


def test_what_others_refer_to_is_applied_first():
    order = ["Mcp", "LlmProxy", "Unknown", "RestApi", "LlmProvider", "LlmProviderTemplate", "Secret"]
    ranked = sorted(order, key=kinds.rank)
    assert ranked.index("Secret") < ranked.index("LlmProviderTemplate") < ranked.index("LlmProvider")
    assert ranked.index("LlmProvider") < ranked.index("LlmProxy")
    assert ranked[-1] == "Unknown"


@pytest.mark.parametrize(
    ("name", "kind"), [("MCP", kinds.MCP), ("llm-proxy", kinds.PROXY), ("llmproviders", kinds.PROVIDER)]
)
def test_names_in_any_letter_case(name, kind):
    assert kinds.of_name(name) is kind


def test_an_unknown_name_is_told_the_known_ones():
    with pytest.raises(Failure) as failed:
        kinds.of_name("thing")
    assert "llm-providers" in str(failed.value.remedy)
