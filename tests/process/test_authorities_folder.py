"""The folder of custom authorities: what is in it that is none, and how often that is told."""

from pathlib import Path

from structlog.testing import capture_logs

from gatewright.process.gateway import LARGEST_PEM_CHARACTERS, _custom_authorities


def test_what_is_no_certificate_is_left_out_and_told_once(tmp_path: Path) -> None:
    (tmp_path / "notes.pem").write_text("no certificate")
    (tmp_path / "huge.pem").write_text("x" * (LARGEST_PEM_CHARACTERS + 1))
    (tmp_path / "readme.txt").write_text("not looked at")
    with capture_logs() as logs:
        for _ in range(3):
            assert _custom_authorities(tmp_path) == ""
    assert sorted(Path(log["file"]).name for log in logs) == ["huge.pem", "notes.pem"]


def test_no_folder_is_no_authority(tmp_path: Path) -> None:
    assert _custom_authorities(tmp_path / "nothing") == ""
