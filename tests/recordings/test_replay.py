"""Recorded conversations, replayed against the code; and that the comparison finds what is different."""

import asyncio
import copy
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from controlplane_lab import make_settings, running_site, until
from recorded_conversation import Tidied, made, read, shown, time_of
from recorded_replay import Differs, Replay
from recorded_site import act, stored

HERE = Path(__file__).parent
RECORDINGS = sorted(path.relative_to(HERE).as_posix() for path in HERE.glob("*/*.yaml"))


async def replay(steps, folder: Path) -> None:
    """Do what was done then, in front of a server that says what was said then. Raises Differs."""
    server, now = Replay(folder, steps), time_of(steps)
    await server.start()
    settings = make_settings(server.host, "a-recorded-token", ca_file=server.ca_file)
    try:
        async with AsyncExitStack() as gateway:
            site = None
            for step in steps:
                what = step.get("gateway") or {}
                playing = asyncio.create_task(server.play(step))
                if "start" in what:
                    await gateway.aclose()
                    server.forget()
                    site = await gateway.enter_async_context(running_site(folder / f"{what['start']}.db"))
                    await gateway.enter_async_context(site.linked(settings, clock=lambda: now))
                assert site is not None
                await act(site, what)
                if step.get("control_plane") == "drop":
                    server.drop()
                await playing
                await leaves(site, step)
            # What is one too many comes at once or not at all.
            await asyncio.sleep(0.3)
            server.complain()
    finally:
        await server.stop()


async def leaves(site, step) -> None:
    async def same() -> bool:
        return await stored(site) == step["leaves"]

    await until(same)


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.conforms("CP-048", "CP-051", "CP-113", "CP-122")
async def test_the_gateway_says_what_it_said_then(name, tmp_path):
    await replay(read(HERE / name), tmp_path)


def called(steps, part):
    return next(
        entry for step in steps for entry in step["conversation"] if part in str(entry.get("call", entry.get("frame")))
    )


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


SPOILERS = [wrong_status, wrong_time, wrong_accept, additional_member, less_than_is_said]


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda one: one.__name__)
async def test_a_difference_is_found(spoil, tmp_path):
    steps = copy.deepcopy(read(HERE / "cloud" / "lifecycle.yaml"))[:4]
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


def test_what_is_random_becomes_stable():
    text = "7d3e1c52-8c0b-4a55-9a3e-0d6f0a1b2c3d at 2031-05-06T07:08:09.123Z and 2030-01-01T00:00:00Z"
    tidied = Tidied(text)
    assert tidied({"x": text}) == {
        "x": "00000000-0000-4000-8000-000000000001 at 2026-08-01T10:00:01.123Z and 2026-08-01T10:00:00Z"
    }
    assert tidied("0001-01-01T00:00:00Z") == "0001-01-01T00:00:00Z"
