"""Bodies and names that mean harm: each gets one clear answer, quickly, and changes nothing."""

import asyncio
import json
import time

import pytest
import structlog

from gatewright.management.requests import LARGEST_BODY_BYTES

YAML = {"content-type": "application/yaml"}
JSON = {"content-type": "application/json"}
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)


@pytest.fixture
async def unchanged(admin):
    """Nothing is stored when the test ends."""
    yield
    assert (await admin.get("/rest-apis")).json()["count"] == 0


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (YAML, b"kind: RestApi\n\tspec: x"),
        (YAML, b"\xff\xfe\x00broken"),
        (YAML, b"kind: \xc3\x28"),
        (YAML, b"kind: a\nkind: b"),
        (YAML, b"[" * 100_000),
        (YAML, b"a: " * 1 + b"{b: " * 5_000),
        (YAML, BOMB.encode()),
        (YAML, b"a: &a [*a]"),
        (YAML, b"just text"),
        (YAML, b"- a\n- list"),
        (YAML, b"!!python/object/apply:os.system ['true']"),
        (JSON, b""),
        (JSON, b"[]"),
        (JSON, b"nul"),
        (JSON, b'{"a":' * 100_000),
        (JSON, b"[" * 1_000_000),
        (JSON, b'{"kind":"\xff"}'),
        (JSON, b'{"kind":"RestApi"} {"kind":"RestApi"}'),
        (JSON, b'{"metadata":{"name":7}}'),
        (JSON, b'{"spec":{"operations":"all"}}'),
        (JSON, b'{"spec":[]}'),
        ({}, b"\x00\x01\x02"),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n\r\n{}\r\n--x--"),
        ({"content-encoding": "gzip"}, b"\x1f\x8b\x08\x00"),
    ],
)
async def test_documents_that_cannot_be_read(admin, headers, body):
    started = time.monotonic()
    response = await admin.post("/rest-apis", content=body, headers=headers)
    assert response.status_code == 400, response.text
    answer = response.json()
    assert answer["status"] == "error"
    assert answer["message"].startswith("failed to parse configuration: ")
    assert len(response.content) < 2000
    assert time.monotonic() - started < 5


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["Mcp", "", "restapi", "x" * 5000, "<script>"])
async def test_documents_of_another_kind(post, rest_api, errors, kind):
    found = errors(await post({**rest_api(), "kind": kind}))
    assert found == [("kind", "Unsupported kind (must be 'RestApi')")]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", ["a b", "a/b", "a}", "a\0b", "\x7f", "a\nb"])
async def test_names_with_characters_that_a_path_cannot_hold(post, rest_api, errors, name):
    document = rest_api()
    document["metadata"]["name"] = name
    assert errors(await post(document)) == [
        ("metadata.name", "metadata.name must not contain whitespace, '/', '}', or control characters")
    ]


@pytest.mark.parametrize("segment", ["%00", "a%00b", "%0d%0aX:y", "%2e%2e", "%2F..%2F", "'%20OR%201=1--", "x" * 20_000])
async def test_names_in_the_path(admin, post, rest_api, segment):
    await post(rest_api())
    for response in (
        await admin.get(f"/rest-apis/{segment}"),
        await admin.delete(f"/rest-apis/{segment}"),
        await admin.post(f"/rest-apis/{segment}/api-keys", json={}),
    ):
        assert response.status_code == 404
        assert response.json()["status"] == "error"
    assert (await admin.get("/rest-apis")).json()["count"] == 1


@pytest.mark.usefixtures("unchanged")
async def test_a_document_with_endless_problems_gets_a_bounded_answer(post, rest_api):
    operations = [{"method": "FETCH", "path": "{"}] * 50_000
    response = await post(rest_api(operations=operations))
    assert response.status_code == 400
    body = response.json()
    assert len(body["errors"]) <= 1001
    assert len(response.content) < 1_000_000


@pytest.mark.usefixtures("unchanged")
async def test_a_body_that_is_too_large(remote):
    response = await remote.post("/rest-apis", content=b"x" * (LARGEST_BODY_BYTES + 1), headers=YAML)
    assert response.status_code == 413
    assert response.json() == {"message": f"request body exceeds {LARGEST_BODY_BYTES} bytes", "status": "error"}
    assert response.headers["deprecation"] == "true"


@pytest.mark.usefixtures("unchanged")
async def test_a_body_that_is_too_large_and_does_not_say_so(remote):
    async def endless():
        for _ in range(LARGEST_BODY_BYTES // 100_000 + 2):
            yield b"x" * 100_000

    response = await remote.post("/rest-apis", content=endless(), headers=YAML)
    assert (response.status_code, response.json()["status"]) == (413, "error")


@pytest.mark.usefixtures("unchanged")
async def test_a_stranger_cannot_make_the_server_read_a_body(remote):
    sent = 0

    async def endless():
        nonlocal sent
        for _ in range(10_000):
            sent += 1
            yield b"x" * 10_000

    response = await remote.post("/rest-apis", content=endless(), auth=None, headers={"authorization": "Basic eDp5"})
    assert response.status_code == 401


@pytest.mark.usefixtures("unchanged")
async def test_a_large_document_does_not_hold_up_others(remote, rest_api):
    document = rest_api(operations=[{"method": "GET", "path": f"/items/{n}/{{id}}"} for n in range(40_000)])
    document["spec"]["version"] = "x"
    body = json.dumps(document).encode()
    slow = asyncio.create_task(remote.post("/rest-apis", content=body, headers=YAML, timeout=60))
    longest = 0.0
    while not slow.done():
        started = time.monotonic()
        assert (await remote.get("/rest-apis/none")).status_code == 404
        longest = max(longest, time.monotonic() - started)
        await asyncio.sleep(0.01)
    assert (await slow).status_code == 400
    assert longest < 2


async def test_keys_and_passwords_reach_no_log(admin, post, rest_api, signed_in):
    with structlog.testing.capture_logs() as logs:
        await post(rest_api())
        plain = (await admin.post("/rest-apis/orders/api-keys", json={"name": "till"})).json()["apiKey"]["apiKey"]
        await admin.post("/rest-apis/orders/api-keys", json={"name": "ext", "apiKey": "value-of-a-partner-0123456789"})
        await admin.post("/rest-apis/orders/api-keys", json={"apiKey": {"deep": "value-of-a-partner-0123456789"}})
        await signed_in(None).get("/rest-apis", headers={"authorization": "Basic c2VjcmV0LW5hbWU6c2VjcmV0LXB3"})
    told = repr(logs)
    assert logs
    for secret in (plain, "value-of-a-partner", "Admin-pass", "secret-name", "secret-pw", "c2VjcmV0"):
        assert secret not in told


@pytest.mark.parametrize("value", [{"deep": "value-of-a-partner"}, ["value-of-a-partner"]])
async def test_a_refused_key_is_not_echoed(admin, post, rest_api, value):
    await post(rest_api())
    response = await admin.post("/rest-apis/orders/api-keys", json={"apiKey": value})
    assert response.status_code == 400
    assert "value-of-a-partner" not in response.text


async def test_key_requests_are_bounded(admin, post, rest_api):
    await post(rest_api())
    keys = "/rest-apis/orders/api-keys"
    assert (await admin.post(keys, content=b" " * 300_000)).status_code == 413
    for body, headers in ((b"[" * 100_000, {}), (BOMB.encode(), YAML), (b'{"x":' * 50_000, {})):
        response = await admin.post(keys, content=body, headers=headers)
        assert response.status_code == 400
        assert response.json()["message"].startswith("Invalid request body: ")
    assert (await admin.get(keys)).json()["totalCount"] == 0
