"""A model that is kept for a restart holds the values of secrets, so it is kept in an envelope."""

import pytest

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.deployment import Deployments
from gatewright.deployment.credentials import Credentials
from gatewright.deployment.kinds import RestApiRules
from gatewright.deployment.placement import Placement
from gatewright.deployment.quarantine import REFUSED_BY_ROUTER, Quarantine
from gatewright.deployment.serving import Rolled
from gatewright.policies.registry import installed
from gatewright.store import last_good, open_store
from gatewright.store.encryption import KeyRing
from gatewright.xds.snapshot import Snapshot

CANARY = "canary-host-51c0.example"
KEYS = KeyRing([("k1", b"k" * 32)])


@pytest.mark.parametrize("other_key", [False, True])
async def test_kept_models_are_sealed(tmp_path, gateway, clock, board, rest_api, other_key):
    rules = RestApiRules(
        catalogue=installed().catalogue,
        defaults=VhostDefaults(),
        renderer=Renderer({"host": CANARY}.get),
        gateway=gateway,
    )

    def quarantine(store):
        placement = Placement(Snapshot(), Credentials(), gateway=gateway, data_plane=None, drain_seconds=1)
        return placement, Quarantine(store, placement, board, data_plane=None, clock=clock)

    store = await open_store(tmp_path / "gateway.db", keys=KEYS)
    deployments = Deployments(store, [rules], board=board, pushes=False, clock=clock)
    named = rest_api("orders", url='http://{{ secret "host" }}')
    uuid = (await deployments.create("RestApi", named, correlation_id="c", actor="admin")).row.uuid
    placement, isolated = quarantine(store)
    api = rules.compile(named, uuid)
    await placement.place({uuid: api})
    await isolated.add(uuid, Rolled("quarantined", clock(), code="X", reason="y"))
    await store.close()
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))

    reopened = await open_store(tmp_path / "gateway.db", keys=KeyRing([("k2", b"x" * 32)]) if other_key else KEYS)
    try:
        placement, isolated = quarantine(reopened)
        isolated.restore(await reopened.read(lambda c: last_good.everything(c, reopened.gateway_id)))
        # Equal in every part: it is ordered among models that were just made.
        assert placement.good == ({} if other_key else {uuid: api})
    finally:
        await reopened.close()


async def test_a_controller_that_has_served_nothing_does_not_take_the_good_version_of_another_away(
    store, rules, gateway, clock, board, rest_api
):
    deployments = Deployments(store, [rules], board=board, pushes=False, clock=clock)
    uuids = [
        (await deployments.create("RestApi", rest_api(name), correlation_id="c", actor="admin")).row.uuid
        for name in ("served", "never")
    ]
    await store.write(lambda c: last_good.keep(c, store.gateway_id, uuids[0], {"good": True}))
    placement = Placement(Snapshot(), Credentials(), gateway=gateway, data_plane=None, drain_seconds=1)
    fresh = Quarantine(store, placement, board, data_plane=None, clock=clock)
    for uuid in uuids:
        await fresh.add(uuid, Rolled("quarantined", clock(), code=REFUSED_BY_ROUTER, reason="y"))
    kept = await store.read(lambda c: last_good.everything(c, store.gateway_id))
    assert kept == {uuids[0]: {"good": True}, uuids[1]: {}}
