"""Documents out of files, folders and standard input."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatewright.cli import documents
from gatewright.cli.exits import Exit, Failure

Api = Callable[[str], str]


def test_one_file_may_hold_many_and_each_keeps_its_lines(tmp_path: Path, api: Api) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(f"# about\n---\n{api('first')}---\n# nothing here\n---\n{api('second')}...\n")
    found = documents.read([str(path)])
    assert [(each.kind, each.name) for each in found] == [("RestApi", "first"), ("RestApi", "second")]
    whole = path.read_text().split("\n")
    second = found[1].text.decode().split("\n")
    line = next(number for number, text in enumerate(whole) if text == "  name: second")
    assert second[line] == "  name: second"
    assert all(not text for text in second[: line - 3])


def test_a_single_document_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(b'{"kind":"RestApi", "metadata":{"name":"a"}, "spec":{"version":1.10}}')
    assert documents.read([str(path)])[0].text == path.read_bytes()


def test_folders_are_read_in_order_and_hidden_files_passed_over(tmp_path: Path, api: Api) -> None:
    for name in ("b.yaml", "a.yml", ".hidden.yaml", "notes.txt", "sub/c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(api(name.replace("/", "-")))
    assert [each.name for each in documents.read([str(tmp_path)])] == ["a.yml", "b.yaml", "sub-c.json"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(api("piped").encode())))
    assert [(each.name, each.source) for each in documents.read(["-"])] == [("piped", "standard input")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: [1\nb: 2\n", "line 2"),
        (b"\xff\xfe", "not UTF-8"),
        (b"metadata:\n  name: x\n", "has no kind"),
        (b"kind: RestApi\n", "has no metadata.name"),
        (b"", "no documents"),
        (b"---\n---\n", "no documents"),
        (b"- 1\n", "has no kind"),
        (b"a: &x [*x]\n", "has no kind"),
        (b"a: !!python/object:os.system {}\n", "neither YAML nor JSON"),
        (b"[" * 5000, "neither YAML nor JSON"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, text: bytes, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text)
    with pytest.raises(Failure) as caught:
        documents.read([str(path)])
    assert words in caught.value.what
    assert "bad.yaml" in caught.value.what
    assert caught.value.code is Exit.USAGE
    assert "\n" not in caught.value.what


def test_files_that_are_missing_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match=r"missing\.yaml cannot be read: No such file"):
        documents.read([str(tmp_path / "missing.yaml")])
    monkeypatch.setattr(documents, "LARGEST_FILE_BYTES", 10)
    (tmp_path / "large.yaml").write_text("kind: " + "x" * 20)
    with pytest.raises(Failure, match="larger than"):
        documents.read([str(tmp_path / "large.yaml")])
