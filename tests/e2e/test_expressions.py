"""Regular expressions of any size that the operator allows: what the controller takes, Envoy takes."""

from pathlib import Path

from envoy_harness import Backend
from gateway_processes import Gateway, rest_api


def test_larger_expressions_where_the_limit_is_higher(tmp_path: Path, backend: Backend) -> None:
    path = "/" + "/".join(f"{{parameter{number}}}/literal-{number:020}" for number in range(30))
    document = rest_api("long", backend.port, operations=[{"method": "GET", "path": path}])
    over = {"gatewright": {"envoy": {"re2_max_program_size": 5_000}}}
    with Gateway(tmp_path / "gateway", over) as gateway:
        gateway.deploy(document)
        asked = "/long/" + "/".join(f"value/literal-{number:020}" for number in range(30))
        assert gateway.get(asked).status == 200
        assert gateway.get(asked + "/more").status == 404
        gateway.remove("long")
        gateway.stop()
        # With the original's limit the same document is refused in words, and no Envoy is asked.
        gateway.configuration["gatewright"]["envoy"]["re2_max_program_size"] = 400
        gateway.start()
        gateway.served(gateway.post(document), "refused")
        reason = gateway.artifact("long")["serving"]["reason"]
        assert "more than 400" in reason
        assert "re2_max_program_size" in reason
