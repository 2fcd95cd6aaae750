"""A registration token that is rotated in its file: the refused link heals, and no process is restarted."""

from pathlib import Path

import pytest
from envoy_harness import Backend
from gateway_processes import Gateway, Hub, rest_api, until

EDGE = "edge"


def revoke_all(hub: Hub, but: str = "") -> None:
    for token in hub.ask(lambda client: client.tokens(EDGE)):
        if token.id != but:
            hub.ask(lambda client, token=token: client.revoke_token(EDGE, token.id))


@pytest.mark.parametrize("written", ["in a file of its own", "in the configuration"])
def test_a_rotated_token_heals_a_refused_link(tmp_path: Path, backend: Backend, written: str) -> None:
    with Hub(tmp_path / "hub") as hub:
        token = hub.register(EDGE)
        secret = tmp_path / "secrets" / "token"
        secret.parent.mkdir()
        secret.write_text(token + "\n")
        over = hub.over(token)
        environ = {}
        if written == "in a file of its own":
            over["controller"]["controlplane"]["token"] = f'{{{{ file "{secret}" }}}}'
            environ["APIP_CONFIG_FILE_SOURCE_ALLOWLIST"] = str(secret.parent)
        with Gateway(tmp_path / "edge", over, environ=environ) as edge:
            edge.secrets.add(token)
            edge.wait_for_link()
            edge.deploy(rest_api("served", backend.port))
            pid = edge.process.pid

            revoke_all(hub)
            assert edge.wait_for_link("refused")["lastError"]["code"] == "LINK_REFUSED"
            assert edge.get("/served/items").status == 200

            new = hub.ask(lambda client: client.issue_token(EDGE)).token
            hub.secrets.add(new)
            edge.secrets.add(new)
            if written == "in a file of its own":
                # As the kubelet does it: the new content takes the place of the old at once.
                (secret.parent / ".new").write_text(new + "\n")
                (secret.parent / ".new").replace(secret)
            else:
                file = edge.folder / "gateway.toml"
                text = file.read_text()
                file.write_text("this is [no toml")
                until(lambda: edge.process.said("the registration token cannot be read"), "a broken file is told")
                file.write_text(text.replace(token, new))
            edge.wait_for_link("connected")
            assert (edge.process.pid, edge.process.status) == (pid, None)
            assert edge.get("/served/items").status == 200
