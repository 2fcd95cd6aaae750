"""Upstreams that are not there: their own routes say so, nobody else notices."""

import socket

import pytest
from envoy_harness import Backend
from gateway_processes import HOST, Gateway, rest_api


@pytest.mark.conforms("DP-052", "DP-053")
def test_upstreams_that_do_not_answer(gateway: Gateway, backend: Backend) -> None:
    gateway.deploy(rest_api("healthy", backend.port))
    with gateway.undisturbed("/healthy/items") as traffic, socket.socket() as deaf:
        deaf.bind((HOST, 0))
        gateway.deploy(rest_api("refusing", deaf.getsockname()[1]))
        refused = gateway.get("/refusing/items")
        assert refused.status == 503
        unknown = rest_api("unknown", 80)
        unknown["spec"]["upstream"]["main"]["url"] = "http://does-not-exist.invalid"
        assert gateway.post(unknown).status == 201
        nowhere = gateway.get("/unknown/items")
        assert nowhere.status in {404, 503}
        # A name that does not resolve delays nobody else.
        gateway.deploy(rest_api("next", backend.port))
        assert gateway.get("/next/items").status == 200
        limit = {"resilience": {"timeout": "200ms"}}
        gateway.deploy(rest_api("slow", backend.port, **limit))
        late = gateway.get("/slow/items?delay=2")
        assert (late.status, late.body) == (504, b"upstream request timeout")
        traffic.proceed(20)
