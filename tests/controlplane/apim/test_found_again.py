"""A gateway that has lost its database finds its APIs again at API Manager, and the keys that were given out there."""

import hashlib

from apim_lab import ids, until
from controlplane_lab import rest_api

from gatewright.controlplane import plane as planes


async def test_keys_of_an_api_that_was_there_before_come_to_it(opened, make_site, settings_of, apim, monkeypatch):
    async with opened() as shop:
        first = ids(await shop.synced("orders"))
    key = await apim.client.create_key(first["id"], "mobile-key")
    monkeypatch.setattr(planes, "MEND_AFTER", 0.05)
    anew = await make_site("anew")
    async with anew.linked(settings_of()) as plane:
        await until(lambda: plane.status().last_reconcile)
        stored = await anew.deployments.create("RestApi", rest_api("orders"), correlation_id="c", actor="a")
        (found,) = await until(lambda: anew.deployments.keys_of(stored.row.uuid))
        assert (found.name, found.key_hash) == ("mobile-key", hashlib.sha256(key.encode()).hexdigest())
        row = await anew.row("orders")
        assert ids(row)["id"] == first["id"]
    assert len(apim.requests("/apis/import")) == 1
