"""The faults that a stand-in API Manager can be asked for."""

import asyncio

import httpx2
import pytest
import websockets

from gatewright.hub.apim.client import ApiManagerClientError
from gatewright.hub.apim.switches import SWITCHES, SwitchBoard, SwitchProblem
from gatewright.hub.problems import HubStartError
from support.apim import anonymous, connected, publisher, running, upload
from support.projects import api_data, project

IMPORT = "/api/am/publisher/v4/apis/import"


def test_a_value_may_hold_for_some_uses_only():
    board = SwitchBoard({"import_mode": "503:2", "token_mode": "401"})
    assert [board.use("import_mode") for _ in range(3)] == ["503", "503", "normal"]
    assert [board.use("token_mode") for _ in range(3)] == ["401", "401", "401"]
    board.turn({"import_mode": "409:3"})
    assert board.positions()["import_mode"] == "409:3"
    board.reset()
    assert board.positions() == {name: values[0] for name, values in SWITCHES.items()}
    for wrong in ({"no_such": "x"}, {"import_mode": "x"}, {"import_mode": "503:0"}, {"import_mode": "503:x"}):
        with pytest.raises(SwitchProblem):
            board.turn({"token_mode": "500", **wrong})
    assert board.peek("token_mode") == "normal"


async def test_an_unknown_switch_is_refused_at_start_and_later(tmp_path):
    with pytest.raises(HubStartError):
        async with running(tmp_path / "apim", switches={"import_mode": "never"}):
            pass
    async with running(tmp_path / "apim", switches={"import_mode": "500"}) as apim:
        assert (await apim.client.turn(token_mode="401:3"))["token_mode"] == "401:3"
        with pytest.raises(ApiManagerClientError) as refused:
            await apim.client.turn(token_mode="no")
        assert refused.value.status == 400
        await apim.client.reset_switches()
        assert apim.switches.positions()["import_mode"] == "normal"
        async with anonymous(apim) as http:
            assert (await http.get("/api/hub/v1/switches")).status_code == 401


async def test_discovery(tmp_path):
    async with running(tmp_path / "apim", slow_well_known=0.2) as apim, anonymous(apim) as http:
        path = "/internal/gateway/.well-known"
        for mode, found in (("leading_slash", "/internal/data/v1"), ("empty_path", ""), ("slow", "internal/data/v1")):
            apim.switches.turn({"well_known": mode})
            assert (await http.get(path)).json()["gatewayPath"] == found
        for mode in ("404", "503"):
            apim.switches.turn({"well_known": f"{mode}:1"})
            assert [(await http.get(path)).status_code for _ in range(2)] == [int(mode), 200]


async def test_the_socket(tmp_path):
    async with running(tmp_path / "apim", ping_interval=0.02) as apim:
        token = (await apim.client.register_gateway("edge"))["registrationToken"]
        apim.switches.turn({"ws_reject": "4401:1"})
        async with connected(apim, token, greeted=False) as gateway:
            assert (await gateway.closed())[0] == 4401
        apim.switches.turn({"ws_reject": "401:1"})
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with connected(apim, token):
                pass
        assert refused.value.response.status_code == 401
        apim.switches.turn({"ws_reject": "wrong_first:1"})
        async with connected(apim, token) as gateway:
            assert gateway.ack["type"] != "connection.ack"
        apim.switches.turn({"ws_reject": "no_ack:1"})
        async with connected(apim, token, greeted=False) as gateway:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await gateway.socket.recv()
        apim.switches.turn({"ws_reject": "no_pings:1"})
        async with connected(apim, token) as gateway:
            opcodes = []
            original = gateway.socket.protocol.recv_frame

            def seen(frame):
                opcodes.append(frame.opcode)
                original(frame)

            gateway.socket.protocol.recv_frame = seen
            await asyncio.sleep(0.3)
            assert opcodes == []
        assert [request.status for request in apim.requests("/ws/")[:2]] == [4401, 401]


async def test_tokens(apim):
    client = await apim.client.register_client("gateway-controller")
    auth = (client["clientId"], client["clientSecret"])
    form = {"grant_type": "client_credentials", "scope": "apim:api_view"}
    async with anonymous(apim) as http:
        for mode, status in (("401", 401), ("500", 500)):
            apim.switches.turn({"token_mode": mode})
            assert (await http.post("/oauth2/token", data=form, auth=auth)).status_code == status
        apim.switches.turn({"token_mode": "malformed"})
        with pytest.raises(ValueError, match=r".+"):
            (await http.post("/oauth2/token", data=form, auth=auth)).json()
        apim.switches.turn({"token_mode": "no_token"})
        answer = await http.post("/oauth2/token", data=form, auth=auth)
        assert (answer.status_code, "access_token" in answer.json()) == (200, False)
        apim.switches.turn({"token_mode": "expires_1"})
        assert (await http.post("/oauth2/token", data=form, auth=auth)).json()["expires_in"] == 1
        bare = {"grant_type": "password", "username": "admin", "password": "admin", "scope": "apim:api_view"}
        assert (await http.post("/oauth2/token", data=bare)).status_code == 401
        apim.switches.turn({"token_mode": "public_ropc"})
        answer = await http.post("/oauth2/token", data=bare)
        assert (answer.status_code, answer.json()["scope"]) == (200, "apim:api_view")
        assert (await http.post("/oauth2/token", data=form)).status_code == 401


async def test_imports(tmp_path):
    async with running(tmp_path / "apim", slow_import=0.2) as apim, publisher(apim) as http:
        await apim.client.register_gateway("edge")
        apim.switches.turn({"import_mode": "503:2", "retry_after": "2"})
        answers = [await upload(http, project("edge")) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [503, 503]
        assert answers[0].headers["retry-after"] == "2"
        for mode in ("409", "500"):
            apim.switches.turn({"import_mode": f"{mode}:1"})
            assert (await upload(http, project("edge"))).status_code == int(mode)
        assert await apim.client.apis() == []
        for mode, text in (("text", "API imported successfully."), ("empty", "{}")):
            apim.switches.turn({"import_mode": f"{mode}:1"})
            answer = await upload(http, project("edge"))
            assert (answer.status_code, answer.text) == (200, text)
        [api] = await apim.client.apis()
        assert len(await apim.client.revisions(api["id"])) == 2
        apim.switches.turn({"import_mode": "slow:1"})
        with pytest.raises(httpx2.TimeoutException):
            await http.post(
                IMPORT,
                params={"preserveProvider": "false", "overwrite": "true", "dryRun": "false", "rotateRevision": "true"},
                files={"file": ("x.zip", project("edge"))},
                timeout=0.05,
            )
        apim.switches.turn({"context_mode": "append_version"})
        api_id = (await upload(http, project("edge"))).json()["id"]
        assert (await apim.client.api(api_id))["context"] == "/city-weather/v2.1/v2.1"


async def test_echoes_and_duplicates(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with publisher(apim) as http, connected(apim, token) as gateway:
        assert (await upload(http, project("edge"))).status_code == 200
        assert await apim.client.events() == []
        apim.switches.turn({"echo_on_import": "before:1"})
        importing = asyncio.create_task(upload(http, project("edge")))
        event = await gateway.message()
        assert not importing.done()
        assert event["payload"]["apiId"] == (await importing).json()["id"]
        apim.switches.turn({"echo_on_import": "after:1", "duplicate_events": "on"})
        done = (await upload(http, project("edge"))).json()
        twice = [await gateway.message(), await gateway.message()]
        assert twice[0] == twice[1]
        assert (twice[0]["type"], twice[0]["payload"]["apiId"]) == ("api.deployed", done["id"])


async def test_the_echo_is_for_what_a_gateway_made(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with publisher(apim) as http, connected(apim, token) as gateway:
        await upload(http, project("edge", initiatedFromGateway=False))
        assert (await gateway.message())["type"] == "api.deployed"


async def test_undeploys_swaggers_and_key_lists(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with publisher(apim) as http, connected(apim, token) as gateway:
        made = (await upload(http, project("edge"))).json()
        base = f"/api/am/publisher/v4/apis/{made['id']}"
        for mode in ("404", "500"):
            apim.switches.turn({"swagger_mode": f"{mode}:1", "undeploy_mode": f"{mode}:1"})
            assert (await http.get(f"{base}/swagger")).status_code == int(mode)
            refused = await http.post(
                f"{base}/undeploy-revision", params={"revisionId": made["revision"]}, json=[{"name": "edge"}]
            )
            assert refused.status_code == int(mode)
        assert (await http.get(f"{base}/swagger")).status_code == 200
        await apim.client.create_key(made["id"], "first-key")
        await gateway.message()
        path, headers = "/internal/data/v1/apis/api-keys", {"api-key": token}
        seen = {}
        for mode in ("array", "empty", "upper_case", "wrapped"):
            apim.switches.turn({"api_keys_mode": mode})
            seen[mode] = (await http.get(path, headers=headers)).json()
        assert [each["status"] for each in seen["array"]] == ["active"]
        assert seen["empty"] == []
        assert [each["status"] for each in seen["upper_case"]] == ["ACTIVE"]
        assert seen["wrapped"]["list"] == seen["array"]
        apim.switches.turn({"api_keys_mode": "404", "undeploy_mode": "200", "undeploy_id_mode": "mismatching"})
        assert (await http.get(path, headers=headers)).status_code == 404
        before = (await http.get("/internal/data/v1/deployments", headers=headers)).json()["deployments"]
        answer = await http.post(
            f"{base}/undeploy-revision", params={"revisionId": made["revision"]}, json=[{"name": "edge"}]
        )
        assert answer.status_code == 200
        event = await gateway.message()
        assert event["payload"]["deploymentId"] != before[0]["deploymentId"]


async def test_whoever_looks_on_meets_no_faults_and_leaves_no_trace(apim):
    apim.switches.turn({"token_mode": "500:1", "swagger_mode": "500:1"})
    await apim.client.register_gateway("edge")
    api = await apim.client.create_api({**api_data(), "initiatedFromGateway": False})
    assert (await apim.client.swagger(api["id"]))["openapi"]
    assert apim.switches.positions()["token_mode"] == "500:1"
    assert apim.requests() == []


async def test_a_restart_keeps_or_wipes(apim):
    token = (await apim.client.register_gateway("edge"))["registrationToken"]
    async with connected(apim, token) as gateway:
        await apim.client.restart()
        assert await gateway.closed() == (1000, "server shutdown")
    assert [each["name"] for each in await apim.client.gateways()] == ["edge"]
    async with connected(apim, token) as gateway:
        await apim.client.restart(wipe=True)
        assert (await gateway.closed())[0] == 1000
    assert await apim.client.gateways() == []


async def test_records_are_bounded(tmp_path):
    async with running(tmp_path / "apim", requests_kept=5, uploads_kept_bytes=3000) as apim, publisher(apim) as http:
        await apim.client.register_gateway("edge")
        for _ in range(4):
            await upload(http, project("edge"))
        for _ in range(4):
            await http.get("/api/am/publisher/v4/apis", params={"query": "name:x", "access_token": "a-secret"})
        kept = await apim.client.requests()
        assert len(kept) == 5
        assert kept[-1]["query"] == [["query", "name:x"], ["access_token", "****"]]
        assert [each["seq"] for each in await apim.client.requests(after=kept[2]["seq"], method="GET")] == [
            each["seq"] for each in kept[3:]
        ]
        assert sum(map(len, apim.recorder._uploads.values())) <= 3000
        await apim.client.clear_requests()
        assert await apim.client.requests() == []
