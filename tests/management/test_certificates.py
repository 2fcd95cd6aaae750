"""`/certificates`, over a real store without routers."""

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

from gatewright.deployment.certificates import Certificates
from gatewright.deployment.results import Serving
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.serving import ServingBoard
from gatewright.management.certificates import UpstreamCertificates
from gatewright.model.gateway import Gateway, Listener, UpstreamTls
from gatewright.xds.snapshot import Snapshot

_FILE = Path(__file__).parents[1] / "envoy" / "certificates.py"
if "envoy_certificates" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("envoy_certificates", _FILE)
    sys.modules["envoy_certificates"] = _module = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(_module)

from envoy_certificates import Authority  # noqa: E402 - needs the lines above


@pytest.fixture
async def rollout(store):
    board = ServingBoard()
    gateway = Gateway(listeners=(Listener("http", "127.0.0.1", 8080),))
    running = Rollout(store, [], Snapshot(), board, gateway=gateway)
    await running.load()
    task = asyncio.create_task(running.run())
    yield running, board
    task.cancel()
    running.close()


@pytest.fixture
def operations(store, rollout):
    return UpstreamCertificates(Certificates(store, rollout[1]), UpstreamTls()).operations()


@pytest.fixture
def pem():
    return Authority("corp root").pem


@pytest.mark.conforms("MG-147", "MG-149")
async def test_upload_and_list(admin, pem):
    key = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
    uploaded = await admin.post("/certificates", json={"name": "corp", "certificate": key + pem + pem})
    assert uploaded.status_code == 201
    body = uploaded.json()
    assert body["subject"] == body["issuer"] == "CN=corp root"
    assert (body["count"], body["name"], body["status"]) == (2, "corp", "success")
    assert body["message"] == "Certificate uploaded and SDS updated successfully"
    listed = (await admin.get("/certificates")).json()
    assert (listed["totalCount"], listed["totalBytes"], listed["status"]) == (1, 2 * len(pem), "success")
    assert listed["certificates"] == [{name: value for name, value in body.items() if name != "message"}]


async def test_none_is_null(admin):
    listed = (await admin.get("/certificates")).json()
    assert listed == {"certificates": None, "totalCount": 0, "totalBytes": 0, "status": "success"}


@pytest.mark.conforms("MG-148")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "", "certificate": "x"}, "name and certificate are required fields"),
        ({"name": "x"}, "name and certificate are required fields"),
        ({"name": "x", "certificate": "garbage"}, "Invalid certificate: no valid certificates found in PEM data"),
        (
            {"name": "x", "certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
            "Invalid certificate: invalid certificate: ",
        ),
        ({"name": ["x"], "certificate": "y"}, "Invalid request body: name and certificate are texts"),
        ([], "Invalid request body: expected an object"),
        ({"name": "x" * 256, "certificate": "y"}, "Invalid certificate: a name has up to 255 printable characters"),
    ],
)
async def test_what_is_refused(admin, given, message):
    answer = await admin.post("/certificates", json=given)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(message)


async def test_a_name_is_used_once(admin, pem):
    assert (await admin.post("/certificates", json={"name": "corp", "certificate": pem})).status_code == 201
    again = await admin.post("/certificates", json={"name": "corp", "certificate": pem})
    assert again.status_code == 409
    assert again.json()["message"].startswith("Failed to save certificate: a certificate named 'corp' is stored")


@pytest.mark.conforms("MG-150")
async def test_deletion(admin, pem):
    uploaded = (await admin.post("/certificates", json={"name": "corp", "certificate": pem})).json()
    deleted = await admin.delete(f"/certificates/{uploaded['id']}")
    assert (deleted.status_code, deleted.json()["id"]) == (200, uploaded["id"])
    again = await admin.delete(f"/certificates/{uploaded['id']}")
    assert again.status_code == 404
    assert again.json()["message"] == "Certificate not found or failed to delete: configuration not found"


@pytest.mark.conforms("MG-027")
async def test_developers_look_but_do_not_touch(signed_in, pem):
    dev = signed_in("dev")
    assert (await dev.get("/certificates")).status_code == 200
    assert (await dev.post("/certificates", json={"name": "corp", "certificate": pem})).status_code == 403


async def test_what_routers_have_not_confirmed_is_not_called_done(admin, rollout, pem, monkeypatch):
    async def late(_change, _timeout):
        return Serving("timeout", 0, "no answer")

    monkeypatch.setattr(rollout[1], "served", late)
    uploaded = await admin.post("/certificates", json={"name": "corp", "certificate": pem})
    assert uploaded.status_code == 201
    assert uploaded.json()["message"] == "Certificate uploaded, but not every router has confirmed it yet"
