"""What routers have accepted is good also when somebody else changes: a refusal then has one suspect, not all."""

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment.credentials import Credentials
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.placement import Placement
from gatewright.deployment.results import RouterServing
from gatewright.deployment.serving import Settled
from gatewright.policies.registry import installed
from gatewright.xds.snapshot import Snapshot

AT_THE_ROOT = [{"method": "POST", "path": "/*"}]
ITEMS = [{"method": "GET", "path": "/items"}]


class Answers:
    """Routers that have given the same answer to everything."""

    def __init__(self):
        self.state = "accepted"

    def now(self, _resources):
        return Settled((RouterServing("router", self.state),))


@pytest.mark.parametrize(("context", "operations"), [("/", AT_THE_ROOT), ("/shared/one", ITEMS)])
@pytest.mark.parametrize("state", ["accepted", "pending", "refused"])
async def test_a_new_api_beside_an_accepted_one(gateway, rest_api, context, operations, state):
    rules = RestApiRules(
        catalogue=installed().catalogue, defaults=VhostDefaults(), renderer=Renderer({}.get), gateway=gateway
    )
    routers = Answers()
    placement = Placement(Snapshot(), Credentials(), gateway=gateway, data_plane=routers, drain_seconds=1)
    document = rest_api("old", context=context)
    document["spec"]["operations"] = operations
    old = rules.compile(document, "id-old")
    await placement.place({"id-old": old})
    routers.state = state
    await placement.place({"id-new": rules.compile(rest_api("new", context="/shared/two"), "id-new")})
    assert placement.good == ({"id-old": old} if state == "accepted" else {})
