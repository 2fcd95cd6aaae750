"""Tokens in files."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.settings.interpolation import (
    ALLOW_LIST_VARIABLE,
    ALLOWED_FOLDERS,
    MAX_FILE,
    InterpolationError,
    Interpolator,
)

ENVIRON = {"A": "alpha", "EMPTY": "", "PATH_TO": ""}


def expand(text: str, **environ: str) -> str:
    return Interpolator({**ENVIRON, **environ}).expand(text)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain ${config.x} } }}", "plain ${config.x} } }}"),
        ('{{ env "A" }}', "alpha"),
        ('{{env "A"}}', "alpha"),
        ("{{ env `A` }}", "alpha"),
        ('Bearer {{ env "A" }}!', "Bearer alpha!"),
        ('{{ env "A" }}-{{ env "A" }}', "alpha-alpha"),
        ('{{ env "B" "d" }}', "d"),
        ('{{ env "EMPTY" "d" }}', "d"),
        ('{{ env "B" "d" "ignored" }}', "d"),
        ('{{ env "B" "" }}', ""),
        ('{{ env "B" "a }} b" }}', "a }} b"),
        ('{{ env "B" "say \\"x\\"" }}', 'say "x"'),
        ('{{ "{{" }} stays', "{{ stays"),
        ('a {{- env "A" -}} b', "aalphab"),
        ("a {{- /* note */ -}} b", "ab"),
        ('a {{- env "A" }} b', "aalpha b"),
        ('{{ env (env "B" "A") }}', "alpha"),
        ('{{ "A" | env }}', "alpha"),
    ],
)
def test_expand(text: str, result: str) -> None:
    assert expand(text) == result


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{{ env "B" }}', 'required env var "B" is not found'),
        ('{{ env "EMPTY" }}', 'required env var "EMPTY" is not found'),
        ('{{ lookup "B" }}', 'function "lookup" not defined'),
        ("{{ env }}", "wrong number of args for env"),
        ('{{ file "a" "b" }}', "wrong number of args for file"),
        ('{{ env "A"', 'is not closed by "}}"'),
        ('{{ env "A }}', 'is not closed by "}}"'),
        ("{{ }}", "a token is empty"),
        ('{{ env "A" ] }}', 'unexpected "]"'),
        ('{{ env ("A" }}', "parenthesis is not closed"),
        ('{{ "A" | "B" }}', "a pipe must lead into a function"),
        ("{{ " + "(" * 50 + " }}", "nested too deeply"),
    ],
)
def test_refused(text: str, cause: str) -> None:
    with pytest.raises(InterpolationError, match=r".*") as caught:
        expand(text)
    assert cause in str(caught.value)


@given(st.text(alphabet='{}"`\\-/*()| envfileAB.\n', max_size=60))
def test_hostile_text_ends_in_a_result_or_an_error(text: str) -> None:
    with contextlib.suppress(InterpolationError):
        Interpolator(ENVIRON).expand(text)


class TestFiles:
    """`{{ file }}` and its allow-list."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        allowed = tmp_path / "allowed"
        allowed.mkdir()
        (allowed / "tok").write_bytes(b"  secret \t\r\n\n")
        return allowed

    def read(self, folder: Path, name: str) -> str:
        return Interpolator({}, [str(folder)]).expand('{{ file "' + name + '" }}')

    def test_white_space_at_the_end_is_removed(self, folder: Path) -> None:
        assert self.read(folder, f"{folder}/tok") == "  secret"

    @pytest.mark.parametrize("name", ["/etc/hostname", "tok", "{folder}/../allowed/tok", "{folder}", "{folder}ed/tok"])
    def test_outside(self, folder: Path, name: str) -> None:
        with pytest.raises(InterpolationError, match="is not in an allowed source directory"):
            self.read(folder, name.format(folder=folder))

    def test_nul_byte(self, folder: Path) -> None:
        with pytest.raises(InterpolationError, match="is not in an allowed source directory"):
            self.read(folder, f"{folder}/t\\x00ok")

    def test_escaping_link(self, folder: Path) -> None:
        (folder.parent / "outside").write_text("x")
        (folder / "link").symlink_to(folder.parent / "outside")
        with pytest.raises(InterpolationError, match="is not in an allowed source directory"):
            self.read(folder, f"{folder}/link")

    def test_kubernetes_secret_mount(self, folder: Path) -> None:
        (folder / "..2026").mkdir()
        (folder / "..2026" / "token").write_text("t\n")
        (folder / "..data").symlink_to("..2026")
        (folder / "token").symlink_to("..data/token")
        assert self.read(folder, f"{folder}/token") == "t"

    @pytest.mark.parametrize("name", ["missing", "sub"])
    def test_missing_or_folder(self, folder: Path, name: str) -> None:
        (folder / "sub").mkdir()
        with pytest.raises(InterpolationError, match=f'required file "{folder}/{name}" is not found'):
            self.read(folder, f"{folder}/{name}")

    def test_link_loop(self, folder: Path) -> None:
        (folder / "loop").symlink_to("loop")
        with pytest.raises(InterpolationError, match="is not found"):
            self.read(folder, f"{folder}/loop")

    def test_size(self, folder: Path) -> None:
        (folder / "big").write_bytes(b"x" * MAX_FILE)
        assert len(self.read(folder, f"{folder}/big")) == MAX_FILE
        (folder / "big").write_bytes(b"x" * (MAX_FILE + 1))
        with pytest.raises(InterpolationError, match="exceeds the maximum allowed size"):
            self.read(folder, f"{folder}/big")

    def test_no_allow_list(self) -> None:
        with pytest.raises(InterpolationError, match="file interpolation not permitted: no allowlist configured"):
            Interpolator({}, ()).expand('{{ file "/x" }}')

    def test_allow_list_from_the_environment(self) -> None:
        assert Interpolator.from_environ({}).allowed == ALLOWED_FOLDERS
        assert Interpolator.from_environ({ALLOW_LIST_VARIABLE: " /a , ,/b"}).allowed == ("/a", "/b")
