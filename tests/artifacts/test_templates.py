"""Expressions: results, error texts, sensitivity, bounds."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.artifacts import templates
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.templates import (
    Renderer,
    SecretUnavailable,
    TemplateError,
    masked,
    referenced_secrets,
)

SECRETS = {"db": "s3cr3t", "empty": "", "url": "http://u:p@h"}
ENVIRONMENT = {"HOST": "backend", "PADDED": "  x  "}


def render(text: str) -> str:
    return Renderer(SECRETS.get, ENVIRONMENT).render({"spec": {"k": text}}).document["spec"]["k"]


def failure(text: str) -> str:
    with pytest.raises(TemplateError) as refused:
        render(text)
    return refused.value.message


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain }} text", "plain }} text"),
        ('{{ secret "db" }}', "s3cr3t"),
        ("{{secret `db`}}", "s3cr3t"),
        ('Bearer {{ secret "db" }}!', "Bearer s3cr3t!"),
        ('{{ env "HOST" }}:{{ env "HOST" }}', "backend:backend"),
        ('{{ env "NOPE" }}', ""),
        ('{{ env "NOPE" | default "d" }}', "d"),
        ('{{ env "HOST" | default "d" }}', "backend"),
        ('{{ default "d" (env "NOPE") }}', "d"),
        ('{{ env "HOST" | required "m" }}', "backend"),
        ('{{ "aB" | upper }}{{ "aB" | lower }}', "ABab"),
        ('{{ env "PADDED" | trim }}', "x"),
        ('{{ "a-b-c" | replace "-" "+" }}', "a+b+c"),
        ('{{ replace "-" "" "a-b" | upper }}', "AB"),
        ('{{ "x" | redact }}', "x"),
        ("{{ .x }}", "<no value>"),
        ("{{ . }}", "<no value>"),
        ("{{ 5 }}{{ true }}{{ 1.5 }}{{ 'a' }}{{ 0x10 }}", "5true1.59716"),
        (r'{{ "a\t\"\u00e9\x41" }}', 'a\t"éA'),
        ("{{ `{{ raw }}` }}", "{{ raw }}"),
        ("a  {{- 5 -}}  b", "a5b"),
        ("a{{/* comment */}}b", "ab"),
        ("a {{- /* c */ -}} b", "ab"),
        ('{{ if env "HOST" }}yes{{ else }}no{{ end }}', "yes"),
        ('{{ if env "NOPE" }}yes{{ else if eq (env "HOST") "backend" }}elif{{ else }}no{{ end }}', "elif"),
        ('{{ if not (env "HOST") }}yes{{ end }}', ""),
        ('{{ printf "%s-%d%%" "a" 5 }}', "a-5%"),
        ('{{ len "abc" }}', "3"),
        ('{{ print "a" 1 }}', "a1"),
        ('{{ and (env "HOST") (env "NOPE") | default "d" }}', "d"),
        ('{{ or (env "NOPE") "y" }}{{ ne "a" "b" }}', "ytrue"),
    ],
)
def test_results(text: str, result: str) -> None:
    assert render(text) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nofunc }}", 'function "nofunc" not defined'),
        ('{{ secret2 "x" }}', 'function "secret2" not defined'),
        ('{{ secret "x"', "unclosed action"),
        ("{{", "unclosed action"),
        ('{{ "a }}', "unterminated quoted string"),
        ("{{ `a }}", "unterminated raw quoted string"),
        ("{{ 'a }}", "unterminated character constant"),
        ("{{ }}", "missing value for command"),
        ("{{ | }}", "missing value for command"),
        ('{{ "a" | }}', "missing value for command"),
        ('{{ ("a" }}', "unclosed left paren"),
        ('{{ "a") }}', 'unexpected ")" in command'),
        ('{{ "a" | "b" }}', "non executable command in pipeline stage 2"),
        ('{{ "a" "b" }}', 'can\'t give argument to non-function "a"'),
        ("{{ $x }}", 'undefined variable "$x"'),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ if true }}", "unexpected EOF"),
        ("{{ if }}{{ end }}", "missing value for if"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "unexpected {{else}}"),
        ("{{/* a", "unclosed comment"),
        ("{{/* a */ 5 }}", "comment ends before closing delimiter"),
        ("{{ range . }}{{ end }}", "unexpected <range>: this control word is not supported here"),
        ("{{ # }}", 'unexpected "#" in operand'),
        (r'{{ "\q" }}', "invalid syntax"),
        ("{{" + "(" * 1000 + "1" + ")" * 1000 + "}}", "expression is nested deeper than 50 levels"),
        ("{{ if true }}" * 1000, "expression is nested deeper than 50 levels"),
        ('{{ secret "nope" }}', 'failed to resolve secret "nope": configuration not found: id=nope'),
        ('{{ "nope" | secret | upper }}', 'failed to resolve secret "nope": configuration not found: id=nope'),
    ],
)
def test_messages_of_syntax_errors_and_unknown_secrets_stand_alone(text: str, message: str) -> None:
    assert failure(text) == message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{{ env "NOPE" | required "need it" }}', "error calling required: required value missing: need it"),
        ("{{ upper }}", "wrong number of args for upper: want 1 got 0"),
        ('{{ "a" | upper "b" }}', "wrong number of args for upper: want 1 got 2"),
        ("{{ upper 5 }}", "error calling upper: wrong type for value; expected string; got int"),
        ("{{ upper .x }}", "error calling upper: wrong type for value; expected string; got nil"),
        ('{{ printf "%100d" 5 }}', "error calling printf: printf understands %s, %v, %d and %%, one value for each"),
    ],
)
def test_other_failures_tell_the_whole_way(text: str, reason: str) -> None:
    renderer = Renderer(SECRETS.get, ENVIRONMENT)
    document = {"spec": {"policies": [{"x": 1}, {"params": {"url": text}}]}}
    with pytest.raises(TemplateError) as refused:
        renderer.render(document, handle="h", kind="RestApi")
    message = refused.value.message
    assert message.startswith(
        'Failed to render configuration: failed to render config "h" (kind=RestApi): failed to render spec templates: '
        'field "policies": index 1: field "params": field "url": template execution error: template: artifact:1:'
    )
    assert message.endswith(reason)
    assert refused.value.problems[0].field == "spec.policies[1].params.url"


def test_only_strings_under_spec_are_rendered() -> None:
    document = {
        "kind": "{{ x }}",
        "metadata": {"name": "{{ x }}"},
        "spec": {"{{ key }}": ["a", 1, None, True, {"k": "{{ `v` }}"}]},
    }
    rendered = Renderer(SECRETS.get).render(document).document
    assert rendered == document | {"spec": {"{{ key }}": ["a", 1, None, True, {"k": "v"}]}}
    assert document["spec"]["{{ key }}"][4] == {"k": "{{ `v` }}"}  # type: ignore[index]


@pytest.mark.parametrize("document", [{}, {"spec": None}, {"spec": {"a": "b"}}, {"spec": "{{ 1 }}"}])
def test_documents_without_much_spec(document: dict[str, Any]) -> None:
    rendered = Renderer(SECRETS.get).render(document).document
    assert rendered == (document if document.get("spec") != "{{ 1 }}" else {"spec": "1"})


@pytest.mark.parametrize(
    ("text", "sensitive"),
    [
        ('{{ secret "db" }}', {"s3cr3t"}),
        ('{{ secret "db" | upper }}', {"s3cr3t", "S3CR3T"}),
        ('{{ printf "x%s" (secret "db") }}', {"s3cr3t", "xs3cr3t"}),
        ('{{ env "HOST" | redact }}', {"backend"}),
        ('{{ secret "empty" }}', set()),
        ('{{ env "HOST" }}', set()),
    ],
)
def test_sensitive_values_are_collected(text: str, sensitive: set[str]) -> None:
    rendered = Renderer(SECRETS.get, ENVIRONMENT).render({"spec": {"k": text}})
    assert rendered.sensitive == sensitive
    assert not any(value in repr(rendered) for value in sensitive)


def test_masking_hides_longer_values_first() -> None:
    assert masked("abc ab", {"ab", "abc"}) == "****** ******"


def test_an_unavailable_secret_says_why() -> None:
    def locked(_: str) -> str:
        raise SecretUnavailable("the encryption key is missing")

    with pytest.raises(TemplateError) as refused:
        Renderer(locked).render({"spec": '{{ secret "a" }}'})
    assert refused.value.message == 'failed to resolve secret "a": the encryption key is missing'


def test_referenced_secrets_are_known_beforehand() -> None:
    document = {
        "metadata": {"x": '{{ secret "no" }}'},
        "spec": [
            '{{ secret "a" }}{{ secret "b" | required "m" }}',
            '{{ env "HOST" | secret }}',
            '{{ broken {{ secret "c" }}',
            '{{ if secret "d" }}{{ secret "e" }}{{ end }}',
            "{{ secret 5 }}",
        ],
    }
    assert referenced_secrets(document, ENVIRONMENT) == {"a", "b", "backend", "d", "e"}
    assert referenced_secrets({}, {}) == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        '{{ "' + "a" * 1000 + '"' + ' | replace "a" "aaaaaaaaaaaaaaaa"' * 8 + " }}",
        '{{ "' + "a" * 1000 + '" | replace "" "' + "b" * 10_000 + '" }}',
        '{{ env "BIG" }}' * 20,
        "{{ print" + ' (env "BIG")' * 20 + " }}",
        '{{ printf "' + "%s" * 20 + '"' + ' (env "BIG")' * 20 + " }}",
    ],
)
def test_growth_is_bounded(text: str) -> None:
    with pytest.raises(TemplateError, match=f"a value is longer than {templates.MAX_TEXT} characters"):
        Renderer(SECRETS.get, {"BIG": "x" * 100_000}).render({"spec": text})


def test_growth_of_the_whole_document_is_bounded() -> None:
    spec = ['{{ env "BIG" }}'] * 50
    with pytest.raises(TemplateError, match=f"longer than {templates.MAX_TOTAL} characters"):
        Renderer(SECRETS.get, {"BIG": "x" * 1_000_000}).render({"spec": spec})


pieces = st.sampled_from(
    ["{{", "}}", "{{ ", " }}", "-", " ", '"', "`", "'", "(", ")", "|", "secret", "env", "if", "else", "end", "default",
     "replace", '"db"', '"x"', "5", ".", "$", ".x", "/*", "*/", "upper", "eq", "nil", "\\", "é", "\n"]
)  # fmt: skip


@given(st.lists(pieces, max_size=25).map("".join))
def test_any_text_renders_or_is_refused(text: str) -> None:
    document = {"spec": {"k": text}}
    with contextlib.suppress(InvalidArtifact):
        Renderer(SECRETS.get, ENVIRONMENT).render(document)
    referenced_secrets(document, ENVIRONMENT)
