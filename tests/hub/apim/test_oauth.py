"""Client registration and tokens of a stand-in API Manager."""

import base64
import time

import pytest

from gatewright.hub.apim.config import User
from support.apim import anonymous, publisher, running

REGISTER = "/client-registration/v0.17/register"
TOKEN = "/oauth2/token"
BOTH = "apim:api_import_export apim:api_view"
USERS = (
    User("admin", "admin", ("admin",)),
    User("maker", "maker-pw", ("Internal/creator",)),
    User("ops", "ö&+% pw", ("Internal/devops",)),
    User("reader", "reader-pw", ("Internal/subscriber",)),
)


@pytest.fixture
async def apim(tmp_path):
    async with running(tmp_path / "apim", users=USERS) as made:
        yield made


def profile(name: str = "gateway-controller", owner: str = "admin", **changed) -> dict:
    grants = "client_credentials password refresh_token"
    return {"clientName": name, "owner": owner, "grantType": grants, "saasApp": True, **changed}


async def credentials(http, owner: str = "admin", **changed) -> tuple[str, str]:
    body = profile(f"of-{owner}", owner, **changed)
    made = (await http.post(REGISTER, json=body, auth=("admin", "admin"))).json()
    return made["clientId"], made["clientSecret"]


@pytest.mark.conforms("AP-089")
async def test_a_registration_is_answered_with_200_and_again_with_the_same_pair(apim):
    async with anonymous(apim) as http:
        first = await http.post(REGISTER, json=profile(), auth=("admin", "admin"))
        assert first.status_code == 200
        made = first.json()
        assert made["clientId"]
        assert made["clientSecret"]
        assert (made["clientName"], made["isSaasApplication"], made["appOwner"]) == (
            "gateway-controller",
            True,
            "admin",
        )
        again = await http.post(REGISTER, json=profile(grantType="password"), auth=("admin", "admin"))
        assert (again.status_code, again.json()) == (200, made)
        tenant = await http.post(REGISTER, json=profile(owner="admin@carbon.super"), auth=("admin", "admin"))
        assert (tenant.status_code, tenant.json()) == (200, made)
        other = await http.post(REGISTER, json=profile("another"), auth=("admin", "admin"))
        assert other.json()["clientId"] != made["clientId"]
        mismatch = await http.post(REGISTER, json=profile("third"), auth=("maker", "maker-pw"))
        assert mismatch.status_code == 400
        assert mismatch.json() == {
            "code": 400,
            "message": "Bad Request",
            "description": "Logged in user 'maker' and application owner 'admin' should be same.",
            "moreInfo": "",
            "error": [],
        }


async def test_what_else_a_registration_can_be_answered(apim):
    async with anonymous(apim) as http:
        wrong = await http.post(REGISTER, json=profile(), auth=("admin", "nimda"))
        assert (wrong.status_code, wrong.json()["message"]) == (401, "Unauthorized")
        assert (await http.post(REGISTER, json=profile())).status_code == 401
        await http.post(REGISTER, json=profile(), auth=("admin", "admin"))
        taken = await http.post(REGISTER, json=profile(owner="maker"), auth=("maker", "maker-pw"))
        assert taken.status_code == 403
        nobody = await http.post(REGISTER, json=profile("of-nobody", "nobody"), auth=("admin", "admin"))
        assert nobody.status_code == 500
        assert (await http.post(REGISTER, json={"owner": "admin"}, auth=("admin", "admin"))).status_code == 400
        assert (await http.request("DELETE", REGISTER, auth=("admin", "admin"))).status_code == 500
        grants = "authorization_code implicit password"
        made = await http.post(REGISTER, json=profile("bare", grantType=grants), auth=("admin", "admin"))
        assert '"grant_types":"password"' in made.json()["jsonString"]


async def test_client_credentials_act_as_the_owner_of_the_client(apim):
    async with anonymous(apim) as http:
        auth = await credentials(http)
        answer = await http.post(TOKEN, data={"grant_type": "client_credentials", "scope": BOTH}, auth=auth)
        assert answer.status_code == 200
        token = answer.json()
        assert token.pop("access_token")
        assert token == {"scope": BOTH, "token_type": "Bearer", "expires_in": 3600}
        weak = await credentials(http, "maker")
        answer = await http.post(TOKEN, data={"grant_type": "client_credentials", "scope": BOTH}, auth=weak)
        assert (answer.status_code, answer.json()["scope"]) == (200, "apim:api_view")
        none = await credentials(http, "reader")
        answer = await http.post(TOKEN, data={"grant_type": "client_credentials", "scope": BOTH}, auth=none)
        assert (answer.status_code, answer.json()["scope"]) == (200, "default")
        in_body = {"grant_type": "client_credentials", "client_id": auth[0], "client_secret": auth[1]}
        assert (await http.post(TOKEN, data=in_body)).status_code == 200


async def test_the_password_grant_and_its_refresh_token(apim):
    async with anonymous(apim) as http:
        auth = await credentials(http)
        form = {"grant_type": "password", "username": "ops", "password": "ö&+% pw", "scope": BOTH}
        answer = await http.post(TOKEN, data=form, auth=auth)
        assert (answer.status_code, answer.json()["scope"]) == (200, BOTH)
        renewal = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
        renewed = await http.post(TOKEN, data=renewal, auth=auth)
        assert renewed.status_code == 200
        assert renewed.json()["access_token"] != answer.json()["access_token"]
        assert (await http.post(TOKEN, data=renewal, auth=auth)).json()["error"] == "invalid_grant"


async def test_what_the_token_endpoint_refuses(apim):
    async with anonymous(apim) as http:
        auth = await credentials(http)
        only_password = await credentials(http, "ops", grantType="password")
        good = {"grant_type": "password", "username": "admin", "password": "admin"}
        for status, error, form, who in (
            (401, "invalid_client", good, None),
            (401, "invalid_client", good, (auth[0], "wrong")),
            (401, "invalid_client", {"grant_type": "client_credentials"}, ("nobody", "wrong")),
            (400, "invalid_grant", {**good, "password": "wrong"}, auth),
            (400, "invalid_grant", {**good, "username": "nobody"}, auth),
            (400, "unauthorized_client", {"grant_type": "client_credentials"}, only_password),
            (400, "unsupported_grant_type", {"grant_type": "magic"}, auth),
        ):
            answer = await http.post(TOKEN, data=form, auth=who)
            assert (answer.status_code, answer.json()["error"]) == (status, error)
            assert ("www-authenticate" in answer.headers) is (status == 401)
        assert (await http.post(TOKEN, json=good, auth=auth)).json()["error"] == "invalid_request"


async def test_a_token_opens_what_its_scope_says_until_it_expires(tmp_path):
    class Clock:
        now = time.time_ns()

        def __call__(self) -> int:
            return self.now

    clock = Clock()
    async with running(tmp_path / "apim", clock=clock) as apim, publisher(apim, "apim:api_view") as http:
        assert (await http.get("/api/am/publisher/v4/apis")).status_code == 200
        assert (await http.post("/api/am/publisher/v4/apis/import")).status_code == 403
        assert (await http.get("/api/am/admin/v4/gateways")).status_code == 403
        clock.now += 3_601_000_000_000
        ended = await http.get("/api/am/publisher/v4/apis")
        assert (ended.status_code, ended.json()["code"]) == (401, 900901)
        del http.headers["authorization"]
        assert (await http.get("/api/am/publisher/v4/apis")).status_code == 401


async def test_no_secret_is_recorded(apim):
    async with anonymous(apim) as http:
        auth = await credentials(http)
        form = {"grant_type": "password", "username": "ops", "password": "ö&+% pw", "scope": BOTH}
        token = (await http.post(TOKEN, data=form, auth=auth)).json()["access_token"]
        await http.get("/api/am/publisher/v4/apis", headers={"authorization": f"Bearer {token}"})
    recorded = str(apim.requests())
    basic = base64.b64encode(f"{auth[0]}:{auth[1]}".encode()).decode()
    for secret in (auth[1], token, "pw", basic, "YWRtaW46YWRtaW4="):
        assert secret not in recorded
    request = apim.requests(TOKEN)[0]
    assert request.headers["authorization"] == f"Basic {auth[0]}:****"
    assert request.body == {"grant_type": "password", "username": "ops", "password": "****", "scope": BOTH}
