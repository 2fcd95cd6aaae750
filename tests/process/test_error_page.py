"""The page of error codes knows every code that the sources define."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
DEFINED = re.compile(r'(?:code(?:: str)? = |Problem\(\s*|CompileError\(\s*|CallError\(\s*)"([A-Z][A-Z0-9_]+)"')


def test_every_code_has_a_line() -> None:
    found: dict[str, str] = {}
    for source in (ROOT / "src" / "gatewright").rglob("*.py"):
        if "hub" not in source.parts:
            found |= dict.fromkeys(DEFINED.findall(source.read_text(encoding="utf-8")), source.name)
    assert len(found) > 40
    missing = {code: where for code, where in found.items() if f"`{code}`" not in PAGE}
    assert not missing


def test_every_line_is_about_a_code_that_exists() -> None:
    sources = "\n".join(source.read_text(encoding="utf-8") for source in (ROOT / "src" / "gatewright").rglob("*.py"))
    for code in re.findall(r"`([A-Z]+_[A-Z_]+)`", PAGE):
        assert code in sources, code
