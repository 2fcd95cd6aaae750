"""Which gateway, as whom: the order of the sources, and what is refused."""

import json
from pathlib import Path

import pytest

from gatewright.cli import connection
from gatewright.cli.exits import Exit, Failure


def test_options_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    environ = {connection.SERVER_VARIABLE: "http://variable:1", connection.ADMIN_SERVER_VARIABLE: "http://variable:2"}
    connection.write_context(tmp_path, "http://file:1", "http://file:2")
    told = connection.addresses("option:1", "http://option:2/", tmp_path, environ)
    assert (told.server, told.admin_server, told.source) == ("http://option:1", "http://option:2", "--server")
    told = connection.addresses(None, None, tmp_path, environ)
    assert (told.server, told.admin_server) == ("http://variable:1", "http://variable:2")
    told = connection.addresses(None, None, tmp_path, {})
    assert (told.server, told.admin_server, told.source) == (
        "http://file:1",
        "http://file:2",
        str(tmp_path / "gatewright.json"),
    )
    told = connection.addresses(None, None, tmp_path / "nothing", {})
    assert (told.server, told.admin_server) == ("http://127.0.0.1:9090", "http://127.0.0.1:9092")


def test_the_admin_port_is_beside_a_server_that_was_named(tmp_path: Path) -> None:
    assert connection.addresses("https://[::1]:9443", None, tmp_path, {}).admin_server == "https://[::1]:9092"


def test_the_file_holds_addresses_only_and_is_replaced_whole(tmp_path: Path) -> None:
    connection.write_context(tmp_path, "http://a:1", "http://a:2")
    connection.write_context(tmp_path, "http://b:1", "http://b:2")
    assert [path.name for path in tmp_path.iterdir()] == ["gatewright.json"]
    assert json.loads((tmp_path / "gatewright.json").read_text()) == {
        "server": "http://b:1",
        "admin_server": "http://b:2",
    }


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"server": ""}', "\x00"])
def test_a_broken_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "gatewright.json").write_text(text)
    assert connection.addresses(None, None, tmp_path, {}).server == connection.DEFAULT_SERVER


@pytest.mark.parametrize(
    "address", ["ftp://x", "http://", "http://x:99999", "http://user:hunter2@x", "http://x/?a=b", "http://x:0"]
)
def test_addresses_that_are_none(tmp_path: Path, address: str) -> None:
    with pytest.raises(Failure) as caught:
        connection.addresses(address, None, tmp_path, {})
    assert caught.value.code is Exit.USAGE
    assert "hunter2" not in "".join(caught.value.lines())


def test_the_password_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from the file\n")
    environ = {connection.PASSWORD_VARIABLE: "from the variable"}
    assert connection.password_of("admin", file, environ) == "from the file"
    assert connection.password_of("admin", None, environ) == "from the variable"
    assert connection.password_of("admin", None, {connection.PASSWORD_FILE_VARIABLE: str(file)}) == "from the file"


def test_no_password_and_nobody_to_ask(tmp_path: Path) -> None:
    for file, environ in ((None, {}), (tmp_path / "missing", {})):
        with pytest.raises(Failure) as caught:
            connection.password_of("admin", file, environ)
        assert caught.value.code is Exit.UNAUTHORISED
