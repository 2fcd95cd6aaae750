"""Recorded conversations, replayed against the code; and that the comparison finds what is different."""

import asyncio
import base64
import copy
import json
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from controlplane_lab import running_site, until
from recorded_conversation import FIRST_TIME, POLICY, Tidied, made, read, shown, time_after
from recorded_credentials import Credentials, presented
from recorded_replay import PATIENCE, Differs, Replay
from recorded_site import TOKEN, act, register, settings_for, stored

from gatewright.controlplane.echoes import deployment_id

HERE = Path(__file__).parent
RECORDINGS = sorted(path.relative_to(HERE).as_posix() for path in HERE.glob("*/*.yaml"))


async def replay(steps, folder: Path) -> None:
    """Do what was done then, in front of a server that says what was said then. Raises Differs."""
    server, now = Replay(folder, steps), FIRST_TIME
    clock = lambda: now  # noqa: E731 - it follows the steps
    await server.start()
    known = {"token": TOKEN}
    try:
        async with AsyncExitStack() as gateway:
            site = plane = None
            for number, step in enumerate(steps):
                # What is young in the recording must be young now, and what came later must be later.
                now = time_after(steps[:number])
                what = step.get("gateway") or {}
                playing = asyncio.create_task(server.play(step))
                if "register" in what:
                    known = await register(server, what["register"])
                elif "start" in what:
                    await gateway.aclose()
                    server.forget()
                    site = await gateway.enter_async_context(running_site(folder / f"{what['start']}.db", clock=clock))
                    settings = settings_for(server, known, flow=what.get("flow", ""))
                    plane = await gateway.enter_async_context(site.linked(settings, clock=clock))
                elif what:
                    await act(site, what, plane)
                if step.get("control_plane") == "drop":
                    server.drop()
                await playing
                if step["leaves"] is not None:
                    await leaves(site, step)
            # What is one too many comes at once or not at all.
            await asyncio.sleep(0.3)
            server.complain()
    finally:
        await server.stop()


async def leaves(site, step) -> None:
    async def same() -> bool:
        return await stored(site) == step["leaves"]

    await until(same, PATIENCE)


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.conforms("CP-048", "CP-051", "CP-113", "CP-122", "CP-148", "CP-150", "CP-155")
async def test_the_gateway_says_what_it_said_then(name, tmp_path):
    await replay(read(HERE / name), tmp_path)


def called(steps, part):
    def says(entry):
        return part in str(entry.get("call", entry.get("frame", entry.get("connect"))))

    return next(entry for step in steps for entry in step["conversation"] if says(entry))


def wrong_status(steps):
    called(steps, "deployment.ack")["frame"]["payload"]["status"] = "failed"


def wrong_time(steps):
    called(steps, "deployment.ack")["frame"]["payload"]["performedAt"] = steps[0]["conversation"][2]["event"][
        "timestamp"
    ]


def wrong_accept(steps):
    called(steps, "GET /api/internal/v1/apis/0")["accept"] = "application/json"


def additional_member(steps):
    called(steps, "/manifest")["body"]["json"]["more"] = "than there is"


def less_than_is_said(steps):
    conversation = steps[0]["conversation"]
    conversation.remove(called(steps, "/subscription-plans"))


def wrong_upgrade_token(steps):
    called(steps, "/ws/gateways/connect")["token"] = "recorded-registrationToken-2"


def wrong_scope(steps):
    token_calls(steps)[-1]["body"]["form"]["scope"] = "apim:api_view"


def wrong_client(steps):
    token_calls(steps)[-1]["authorization"] = "Basic recorded-clientId-1:recorded-clientSecret-2"


def wrong_bearer(steps):
    called(steps, "/apis/import")["authorization"] = "Bearer recorded-access_token-1"


def wrong_import_option(steps):
    entry = called(steps, "/apis/import")
    entry["call"] = entry["call"].replace("overwrite=true", "overwrite=false")


def wrong_line_of_the_project(steps):
    files = called(steps, "/apis/import")["body"]["parts"]["file"]["zip"]
    files["orders-v1.0/api.yaml"] = files["orders-v1.0/api.yaml"].replace("context: /orders", "context: /order")


def wrong_id_of_a_policy(steps):
    files = called(steps, "/apis/import")["body"]["parts"]["file"]["zip"]
    found = POLICY.findall(files["orders-v1.0/api.yaml"])[0]
    files["orders-v1.0/api.yaml"] = files["orders-v1.0/api.yaml"].replace(
        found, str(uuid.uuid5(uuid.NAMESPACE_DNS, "another"))
    )


def secret_that_is_not_asked_for(steps):
    step = next(step for step in steps if "secret" in step["step"])
    step["conversation"].remove(called(steps, "/secrets/"))


def token_calls(steps):
    return [entry for step in steps for entry in step["conversation"] if entry.get("call") == "POST /oauth2/token"]


CLOUD = [wrong_status, wrong_time, wrong_accept, additional_member, less_than_is_said]
ON_PREMISES = [
    wrong_status,
    wrong_upgrade_token,
    wrong_scope,
    wrong_client,
    wrong_bearer,
    wrong_import_option,
    wrong_line_of_the_project,
    wrong_id_of_a_policy,
    secret_that_is_not_asked_for,
]
SPOILED = [("cloud", 4, spoil) for spoil in CLOUD] + [("on_premises", 10, spoil) for spoil in ON_PREMISES]


@pytest.mark.parametrize(("recording", "first", "spoil"), SPOILED, ids=lambda one: getattr(one, "__name__", None))
async def test_a_difference_is_found(recording, first, spoil, tmp_path):
    steps = copy.deepcopy(read(HERE / recording / "lifecycle.yaml"))[:first]
    spoil(steps)
    with pytest.raises(Differs, match="the gateway said"):
        await replay(steps, tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"json": {"a": [1, None]}},
        {"text": "no json"},
        {"zip": {"a.yaml": "a: 1\n", "b.txt": "é"}},
        {"tar": {"d/a.yaml": "a: 1\n"}},
        {"form": {"grant_type": "password", "scope": "a b"}},
    ],
)
def test_bodies_come_back_as_they_were(body):
    content, kind = made(body)
    assert shown(content, kind) == body


def test_credentials_have_names_in_a_recording():
    credentials = Credentials()
    credentials.add("the-token", "a-recorded-token")
    credentials.find({"clientId": "one", "clientSecret": "se-cret", "list": [{"access_token": "se-cret-2"}]})
    credentials.find({"clientSecret": "se-cret"})
    basic = base64.b64encode(b"one:se-cret").decode()
    said = presented({"api-key": "the-token", "authorization": f"Basic {basic}"})
    assert credentials.hidden([said, presented({"authorization": "Bearer se-cret-2"})]) == [
        {"token": "a-recorded-token", "authorization": "Basic recorded-clientId-1:recorded-clientSecret-1"},
        {"authorization": "Bearer recorded-access_token-1"},
    ]
    with pytest.raises(AssertionError, match="recorded-clientSecret-1"):
        credentials.refuse_leaks("something with se-cret in it")
    assert presented({}) == {}


def test_ids_that_are_made_of_others_stay_so():
    api, gateway, revision = (str(uuid.uuid4()) for _ in range(3))
    text = " ".join([api, gateway, deployment_id(api, gateway, revision), revision])
    parts = Tidied(text)(text).split()
    assert parts[2] == deployment_id(parts[0], parts[1], parts[3])
    policy = {"policyId": str(uuid.uuid5(uuid.NAMESPACE_DNS, "a policy"))}
    assert Tidied(json.dumps(policy))(policy) == policy


def test_what_is_random_becomes_stable():
    text = "7d3e1c52-8c0b-4a55-9a3e-0d6f0a1b2c3d at 2031-05-06T07:08:09.123Z and 2030-01-01T00:00:00Z"
    tidied = Tidied(text)
    assert tidied({"x": text}) == {
        "x": "00000000-0000-4000-8000-000000000001 at 2026-08-01T10:00:01.123Z and 2026-08-01T10:00:00Z"
    }
    assert tidied("0001-01-01T00:00:00Z") == "0001-01-01T00:00:00Z"
