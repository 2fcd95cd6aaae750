"""Archives: what is written, and hostile ones that are read."""

import gzip
import io
import tarfile
import zipfile

import pytest

from gatewright.wire import archives
from gatewright.wire.archives import ArchiveLimits, Batch, read_batch, read_definition
from gatewright.wire.failures import Undecodable, WireFault

SMALL = ArchiveLimits(archive=100_000, document=1_000, total=2_000, entries=5)


def _zip(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _tar(entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # mode is a parameter
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _code(result: object) -> WireFault:
    assert isinstance(result, Undecodable)
    return result.code


def test_a_definition_is_one_deflated_entry() -> None:
    data = archives.write_definition(archives.entry_name("RestApi", "23826f9e"), b"kind: RestApi\n")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (entry,) = archive.infolist()
    assert entry.filename == "api-23826f9e.yaml"
    assert entry.compress_type == zipfile.ZIP_DEFLATED
    assert read_definition(data) == b"kind: RestApi\n"
    assert archives.attachment_name("RestApi", "23826f9e") == "api-23826f9e.zip"


def test_the_first_yaml_entry_in_archive_order_is_taken() -> None:
    data = _zip({"readme.txt": b"no", "folder/": b"", "z.yml": b"first", "a.yaml": b"second"})
    assert read_definition(data) == b"first"


@pytest.mark.parametrize(
    "data", [_zip({}), _zip({"a.json": b"{}"}), _zip({"dir.yaml/": b""})], ids=["empty", "json", "folder"]
)
def test_an_archive_without_yaml_is_said_to_have_none(data: bytes) -> None:
    result = read_definition(data)
    assert _code(result) is WireFault.NO_DOCUMENT
    assert "no YAML file found in zip archive" in str(result)


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"not a zip", _zip({"a.yaml": b"x" * 500})[:-30]],
    ids=["empty", "magic", "text", "cut"],
)
def test_broken_zips_are_said_to_be_broken(data: bytes) -> None:
    assert _code(read_definition(data)) is WireFault.BROKEN_ARCHIVE


def test_damaged_content_is_noticed() -> None:
    data = bytearray(_zip({"a.yaml": b"x" * 50}, zipfile.ZIP_STORED))
    data[40] ^= 0xFF
    assert _code(read_definition(bytes(data))) is WireFault.BROKEN_ARCHIVE


@pytest.mark.parametrize("name", ["../a.yaml", "a/../../b.yaml", "/etc/a.yaml", "..\\a.yaml", "C:\\a.yaml"])
def test_names_that_leave_the_archive_refuse_it(name: str) -> None:
    assert _code(read_definition(_zip({"good.yaml": b"x", name: b"y"}))) is WireFault.UNSAFE_ARCHIVE


def test_zip_limits() -> None:
    assert _code(read_definition(_zip({"a.yaml": bytes(1_001)}), SMALL)) is WireFault.TOO_LARGE
    assert _code(read_definition(_zip({f"{n}.yaml": b"" for n in range(6)}), SMALL)) is WireFault.TOO_LARGE
    assert _code(read_definition(bytes(100_001), SMALL)) is WireFault.TOO_LARGE


def test_a_bomb_that_lies_about_its_size_is_bounded() -> None:
    data = bytearray(_zip({"a.yaml": bytes(10_000_000)}))
    central = data.rindex(b"PK\x01\x02")
    data[central + 24 : central + 28] = (10).to_bytes(4, "little")
    assert _code(read_definition(bytes(data), SMALL)) in {WireFault.TOO_LARGE, WireFault.BROKEN_ARCHIVE}


def test_a_batch_round_trip() -> None:
    documents = {"d-1": ("api-a.yaml", b"one"), "d-2": ("mcp-proxy-b.yaml", b"two")}
    data = archives.write_batch(documents)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        assert archive.getnames() == ["d-1/api-a.yaml", "d-2/mcp-proxy-b.yaml"]
        assert {member.mode for member in archive} == {0o644}
    batch = read_batch(data)
    assert isinstance(batch, Batch)
    assert batch.documents == {"d-1": b"one", "d-2": b"two"}


def test_an_empty_batch_and_a_plain_tar_are_fine() -> None:
    assert read_batch(archives.write_batch({})) == Batch({})
    plain = _tar([(tarfile.TarInfo("d/api.yaml"), b"x")], "w")
    assert read_batch(plain) == Batch({"d": b"x"})


@pytest.mark.conforms("CP-099")
def test_unusable_entries_are_left_out_and_named() -> None:
    directory = tarfile.TarInfo("d")
    directory.type = tarfile.DIRTYPE
    link = tarfile.TarInfo("l/link.yaml")
    link.type = tarfile.SYMTYPE
    link.linkname = "/etc/passwd"
    batch = read_batch(
        _tar(
            [
                (directory, b""),
                (link, b""),
                (tarfile.TarInfo("root.yaml"), b"no"),
                (tarfile.TarInfo("../up/a.yaml"), b"no"),
                (tarfile.TarInfo("x/../y/a.yaml"), b"no"),
                (tarfile.TarInfo("d/notes.txt"), b"no"),
                (tarfile.TarInfo("deep/er/d-1/a.yml"), b"first"),
                (tarfile.TarInfo("deep/er/d-1/b.yaml"), b"last wins"),
            ],
        ),
    )
    assert isinstance(batch, Batch)
    assert batch.documents == {"d-1": b"last wins"}
    assert {name for name, _ in batch.skipped} == {
        "l/link.yaml", "root.yaml", "../up/a.yaml", "x/../y/a.yaml", "d/notes.txt",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [b"", b"\x1f\x8b", b"nonsense" * 100, gzip.compress(b"nonsense" * 100),
     archives.write_batch({"d": ("a.yaml", b"x" * 5000)})[:-9]],
    ids=["empty", "magic", "text", "no tar", "cut"],
)  # fmt: skip
def test_broken_batches_fail_as_a_whole(data: bytes) -> None:
    assert _code(read_batch(data)) is WireFault.BROKEN_ARCHIVE


def test_batch_limits() -> None:
    def batch(count: int, size: int) -> bytes:
        return archives.write_batch({f"d-{n}": ("a.yaml", bytes(size)) for n in range(count)})

    assert _code(read_batch(batch(1, 1_001), SMALL)) is WireFault.TOO_LARGE
    assert _code(read_batch(batch(3, 900), SMALL)) is WireFault.TOO_LARGE
    assert _code(read_batch(batch(6, 1), ArchiveLimits(entries=5))) is WireFault.TOO_LARGE
    assert _code(read_batch(gzip.compress(bytes(50_000_000)), SMALL)) in {
        WireFault.TOO_LARGE, WireFault.BROKEN_ARCHIVE,
    }  # fmt: skip


def test_file_names_of_every_kind() -> None:
    assert archives.entry_name("LlmProvider", "x") == "llm-provider-x.yaml"
    assert archives.entry_name("LlmProxy", "x") == "llm-proxy-x.yaml"
    assert archives.entry_name("Mcp", "x") == "mcp-proxy-x.yaml"
    assert archives.entry_name("WebSubApi", "x") == "websub-api-x.yaml"
    assert archives.batch_entry_name("WebSubApi", "x") == "api-x.yaml"
    assert archives.batch_entry_name("Mcp", "x") == "mcp-proxy-x.yaml"
