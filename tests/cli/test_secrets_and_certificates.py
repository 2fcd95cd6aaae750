"""`secrets …` and `certificates …` against a gateway."""

import pytest

from gatewright.cli.exits import Exit


def test_an_empty_value_is_no_secret(run, tmp_path) -> None:
    (tmp_path / "empty").write_text("\n")
    ran = run("secrets", "set", "x", "--value-file", str(tmp_path / "empty"))
    assert (ran.code, "the value is empty" in ran.err) == (Exit.USAGE, True)


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_files_that_cannot_be_used(run, tmp_path, content) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    assert run("secrets", "set", "x", "--value-file", str(file)).code == Exit.USAGE
    ran = run("certificates", "add", "x", str(file))
    assert (ran.code, str(file) in ran.err.replace("\n", "")) == (Exit.USAGE, True)
