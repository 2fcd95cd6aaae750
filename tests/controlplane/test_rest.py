"""REST calls against answers that are late, large, wrong or somewhere else."""

import asyncio
import ssl

import pytest
from pydantic import SecretStr

from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.rest import CallFailed, Rest
from gatewright.wire.archives import write_definition
from gatewright.wire.kinds import ArtifactKind
from gatewright.wire.manifest import Manifest

BASE = "/api/internal/v1"
KIND = ArtifactKind.REST_API


@pytest.fixture
async def rest(hostile):
    credentials = Credentials(lambda: SecretStr("a-token-of-the-test"))
    await credentials.read()
    made = Rest(hostile.host, credentials, timeout=5)
    await made.use_tls(ssl.create_default_context(cafile=str(hostile.ca_file)))
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("answer", "code", "temporary"),
    [
        ((500, b"oops"), "CALL_STATUS", True),
        ((429, b"", {"retry-after": "7"}), "CALL_STATUS", True),
        ((404, {"code": 404, "description": "API not found"}), "CALL_STATUS", False),
        ((201, b""), "CALL_STATUS", False),
        ((200, b"garbage"), "CALL_UNREADABLE", False),
        ((302, b"", {"location": "https://elsewhere.invalid/x"}), "CALL_STATUS", False),
    ],
)
async def test_failures_are_values(rest, hostile, answer, code, temporary):
    hostile.answers["GET", f"{BASE}/apis/a"] = answer
    failure = await rest.definition(KIND, "a")
    assert isinstance(failure, CallFailed)
    assert (failure.code, failure.temporary) == (code, temporary)
    assert failure.status == (answer[0] if code == "CALL_STATUS" else None)
    if answer[0] == 429:
        assert failure.retry_after == 7
    if answer[0] == 404:
        assert "API not found" in str(failure)


async def test_redirects_stay_within_the_origin(rest, hostile):
    hostile.answers["GET", f"{BASE}/apis/a"] = (307, b"", {"location": "/moved"})
    hostile.answers["GET", "/moved"] = (200, write_definition("a.yaml", b"kind: RestApi"))
    assert await rest.definition(KIND, "a") == b"kind: RestApi"
    hostile.answers["GET", f"{BASE}/apis/b"] = (307, b"", {"location": f"{BASE}/apis/b"})
    failure = await rest.definition(KIND, "b")
    assert isinstance(failure, CallFailed)


async def test_an_answer_that_never_comes_ends_in_time(rest, hostile, monkeypatch):
    monkeypatch.setattr(rest, "_timeout", 0.2)

    async def never(_request):
        await asyncio.Event().wait()

    hostile.answers["GET", f"{BASE}/apis/a"] = never
    failure = await rest.definition(KIND, "a")
    assert isinstance(failure, CallFailed)
    assert failure.code == "CALL_TIMEOUT"


async def test_an_answer_beyond_the_bound_is_not_read(rest, hostile):
    hostile.answers["POST", f"{BASE}/gateways/g/manifest"] = (200, b"x" * 2_000_000)
    failure = await rest.manifest("g", Manifest())
    assert isinstance(failure, CallFailed)
    assert failure.code == "CALL_TOO_LARGE"


async def test_a_connection_that_was_closed_meanwhile_is_replaced(rest, hostile):
    hostile.answers["GET", f"{BASE}/apis/a"] = (200, write_definition("a.yaml", b"kind: RestApi"))
    assert await rest.definition(KIND, "a")
    await hostile.stop()
    await hostile.start()
    assert await rest.definition(KIND, "a") == b"kind: RestApi"


async def test_ids_cannot_reach_another_endpoint(rest, hostile):
    await rest.definition(KIND, "../deployments?x=1#y")
    assert hostile.requests[-1].path == f"{BASE}/apis/..%2Fdeployments%3Fx%3D1%23y"


async def test_a_token_that_cannot_be_sent_is_no_call(hostile):
    credentials = Credentials(lambda: SecretStr("bad\ntoken"))
    await credentials.read()
    rest = Rest(hostile.host, credentials)
    await rest.use_tls(ssl.create_default_context(cafile=str(hostile.ca_file)))
    failure = await rest.deployments()
    assert isinstance(failure, CallFailed)
    assert failure.code == "CALL_IMPOSSIBLE"
    assert "bad" not in str(failure)
    await rest.close()
