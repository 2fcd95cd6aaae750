"""A cloud control plane offers no sync to an API Manager: said once, and everything else works."""

from apim_lab import until
from controlplane_lab import rest_api


async def test_it_is_said_once_and_apis_go_their_own_way(site, hub_settings, capsys):
    await site.deployments.create("RestApi", rest_api("orders"), correlation_id="c", actor="a")
    async with site.linked(await hub_settings()) as plane:

        async def pushed():
            return (await site.row("orders")).cp_sync_status == "success"

        await until(pushed)
        plane.on_linked(plane._linked)
        overview = await plane.api_manager([await site.row("orders")])
        assert (overview["mode"], overview["offered"]) == ("cloud", False)
        assert "a cloud control plane offers no such sync" in overview["note"]
        assert "cloud control plane" in (await plane.plan([]))["error"]
        assert await plane.bottom_up.state(await site.row("orders")) is None
        assert not plane.bottom_up._sync.running
    told = capsys.readouterr()
    assert (told.out + told.err).count("APIs made here are not synced to an API Manager") == 1
