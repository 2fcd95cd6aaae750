"""Whatever comes in: a valid result or a list of problems, never another exception; and valid results are stable."""

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gatewright.artifacts.content_hash import content_hash
from gatewright.artifacts.parsing import parse_document
from gatewright.artifacts.policies import PolicyCatalogue
from gatewright.artifacts.problems import InvalidArtifact
from gatewright.artifacts.restapi_validation import ValidRestApi, parse_restapi, validate_restapi
from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults

texts = st.text(max_size=12) | st.sampled_from(
    ["/", "/a", "/{b}", "http://a", "https://b:1", "GET", "v1", "v1.0", "30s", "d", "quota", "Ping", "RestApi",
     '{{ secret "a" }}', "{{ . }}", "{{ bad", "_gateway_default_"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)


def sometimes(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, strategy, strategy, strategy, anything)


def record(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return sometimes(st.fixed_dictionaries({}, optional={name: sometimes(s) for name, s in members.items()}))


policies = st.lists(
    record(name=texts, version=texts, executionCondition=texts, params=st.dictionaries(texts, anything, max_size=3)),
    max_size=2,
)
resilience = record(timeout=texts, idleTimeout=texts)
upstream = record(url=texts, ref=texts, hostRewrite=texts, other=anything)
operation = record(
    method=texts,
    path=texts,
    match=record(
        method=texts,
        path=record(value=texts, type=texts),
        headers=st.lists(record(name=texts, value=texts, type=texts), max_size=2),
    ),
    policies=policies,
    resilience=resilience,
)
definition = record(
    name=texts,
    basePath=texts,
    timeout=record(connect=texts),
    upstreams=st.lists(record(url=texts, weight=st.integers()), max_size=2),
)
documents = record(
    apiVersion=texts,
    kind=st.just("RestApi"),
    metadata=record(
        name=texts,
        labels=st.dictionaries(texts, texts, max_size=2),
        annotations=st.dictionaries(texts, texts, max_size=2),
    ),
    spec=record(
        displayName=texts,
        version=texts,
        context=texts,
        upstream=record(main=upstream, sandbox=upstream),
        upstreamDefinitions=st.lists(definition, max_size=2),
        vhosts=record(main=texts, sandbox=texts),
        subscriptionPlans=st.lists(texts, max_size=2),
        policies=policies,
        resilience=resilience,
        operations=st.lists(operation, max_size=3),
        deploymentState=texts,
    ),
)


def outcome(document: Any, catalogue: PolicyCatalogue) -> ValidRestApi | None:
    try:
        return validate_restapi(
            document,
            catalogue=catalogue,
            defaults=VhostDefaults(),
            renderer=Renderer({"a": "value"}.get),
            materialise_vhosts=True,
        )
    except InvalidArtifact as refused:
        if not all(isinstance(p.field, str) and p.message for p in refused.problems) or not refused.problems:
            pytest.fail(f"no usable problems: {refused.problems}")
        return None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=documents | anything)
@example(document={"spec": {"operations": [[]]}})
@example(document={"kind": "RestApi", "metadata": {"name": {}}})
def test_any_value_gives_a_result_or_problems(document: Any, catalogue: PolicyCatalogue) -> None:
    outcome(document, catalogue)


names = st.text("abcXYZ019-_. ", min_size=1, max_size=20)
segments = st.from_regex(r"\A/[a-z0-9{}]{1,8}\Z").filter(lambda s: s.count("{") == s.count("}"))
valid_documents = st.fixed_dictionaries(
    {
        "apiVersion": st.text("a/é1."),
        "kind": st.just("RestApi"),
        "metadata": st.fixed_dictionaries({"name": st.text("abc-.é", min_size=1)}),
        "spec": st.fixed_dictionaries(
            {
                "displayName": names,
                "version": st.from_regex(r"\Av?[0-9]{1,3}(\.[0-9]{1,3}){0,2}\Z"),
                "context": st.lists(segments, min_size=1, max_size=4).map("".join),
                "upstream": st.fixed_dictionaries(
                    {
                        "main": st.fixed_dictionaries(
                            {"url": st.just("https://h:1/p")}, optional={"auth": st.just({"a": 1})}
                        )
                    },
                    optional={"sandbox": st.just({"ref": "d"})},
                ),
                "upstreamDefinitions": st.just([{"name": "d", "upstreams": [{"url": "http://h", "weight": 3}]}]),
                "operations": st.lists(
                    st.fixed_dictionaries(
                        {"method": st.sampled_from(["GET", "post"]), "path": segments},
                        optional={"resilience": st.just({"timeout": "1s"})},
                    ),
                    min_size=1,
                    max_size=4,
                ),
            },
            optional={
                "policies": st.just([{"name": "quota", "version": "v1", "params": {"limit": 5, "strict": True}}]),
                "deploymentState": st.just("undeployed"),
                "vhosts": st.fixed_dictionaries({"main": st.just("a;b")}),
            },
        ),
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=valid_documents)
def test_valid_documents_survive_a_round_trip(document: dict[str, Any], catalogue: PolicyCatalogue) -> None:
    body = json.dumps(document).encode()
    as_json = parse_restapi(body, "application/json")
    assert as_json == parse_restapi(body, "application/yaml") == document
    defaults = VhostDefaults()
    first = validate_restapi(as_json, catalogue=catalogue, defaults=defaults)
    again = validate_restapi(first.document, catalogue=catalogue, defaults=defaults)
    assert first.document == document
    assert again == first
    assert content_hash(first.document) == content_hash(document)
    assert len(first.api.operations) == len(document["spec"]["operations"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    body=st.binary(max_size=80) | documents.map(lambda d: json.dumps(d).encode()),
    kind=st.sampled_from(["", "application/json", "text/yaml"]),
)
def test_any_body_is_read_or_refused(body: bytes, kind: str) -> None:
    with contextlib.suppress(InvalidArtifact):
        assert isinstance(parse_document(body, kind), dict)


def test_deep_parameters_do_not_exhaust_the_stack(document: dict[str, Any], catalogue: PolicyCatalogue) -> None:
    def nested(depth: int, innermost: Any) -> dict[str, Any]:
        value = innermost
        for _ in range(depth):
            value = {"a": [value]}
        return {"a": value}

    document["spec"]["policies"] = [{"name": "free", "version": "v0", "params": nested(45, '{{ secret "a" }}')}]
    assert outcome(document, catalogue) is not None
    document["spec"]["policies"][0]["params"] = nested(5_000, 1)
    assert outcome(document, catalogue) is None
    document["spec"]["policies"] = []
    document["spec"]["upstream"]["main"]["other"] = nested(5_000, 1)
    assert outcome(document, catalogue) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"operations": [{}] * 200_000},
        {"operations": [{"method": "GET", "path": "/" + "{}" * 200_000}]},
        {"operations": [{"method": "GET", "path": "/.." * 200_000}]},
        {"displayName": "a" * 5_000_000},
        {"context": "/" + "$version" * 200_000, "version": "1" * 10_000},
        {"upstream": {"main": {"url": "http://" + ":" * 1_000_000}}},
        {"upstream": {"main": {"url": "http://" + "[" * 1_000_000}}},
        {"resilience": {"timeout": "9" * 1_000_000 + "s"}},
        {"vhosts": {"main": ";" * 1_000_000}},
        {"displayName": "{{" + " " * 1_000_000},
        {"displayName": "{{ 1 }}" * 100_000},
    ],
    ids=[
        "operations",
        "braces",
        "dots",
        "name",
        "version",
        "colons",
        "brackets",
        "digits",
        "hosts",
        "blanks",
        "actions",
    ],
)
def test_large_values_cost_bounded_time(
    document: dict[str, Any], catalogue: PolicyCatalogue, spec: dict[str, Any]
) -> None:
    document["spec"] |= spec
    started = time.perf_counter()
    outcome(document, catalogue)
    assert time.perf_counter() - started < 20  # seconds; about one on a free machine
