"""The admin API's comparison with the control plane."""

import pytest

from gatewright.management.drift import MOST_NAMES, Drift
from gatewright.management.mux import Mux

BASE = "/api/admin/v1"


class Link:
    def __init__(self):
        self.asked = []
        self.result = {"same": True}

    async def drift(self, names):
        self.asked.append(list(names))
        return self.result


@pytest.fixture
def link():
    return Link()


@pytest.fixture
def by(signed_in, link, authenticator):
    def client(user):
        return signed_in(user, base=BASE, target=Mux(BASE, Drift(link).operations(), authenticator, correlated=False))

    return client


async def test_everything_or_some(by, link):
    assert (await by("Admin").get("/drift")).json() == {"same": True}
    await by("Admin").get("/drift?names=orders,%20a-1,,")
    assert link.asked == [[], ["orders", "a-1"]]


async def test_only_for_administrators(by, link):
    assert (await by(None).get("/drift")).status_code == 401
    assert (await by("dev").get("/drift")).status_code == 403
    assert not link.asked


async def test_differences_are_no_error_and_impossibility_is(by, link):
    link.result = {"same": False, "different": 1}
    assert (await by("Admin").get("/drift")).status_code == 200
    link.result = {"error": "The link is refused"}
    response = await by("Admin").get("/drift")
    assert (response.status_code, response.json()["message"]) == (409, "The link is refused")


async def test_too_many_names(by, link):
    names = ",".join(f"n{number}" for number in range(MOST_NAMES + 1))
    assert (await by("Admin").get(f"/drift?names={names}")).status_code == 400
    assert not link.asked
