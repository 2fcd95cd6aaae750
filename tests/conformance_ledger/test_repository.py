"""The ledger of this repository: complete, worded, and free of contradictions."""

from pathlib import Path

from conformance_ledger import ledger

ROOT = Path(__file__).resolve().parents[2]

SIZES = {"CP": 155, "AP": 100, "MG": 170, "DP": 170, "PO": 224, "OP": 82}


def test_every_statement_is_there() -> None:
    statements = ledger.read_statements(ROOT)
    sizes = dict.fromkeys(SIZES, 0)
    for statement in statements:
        sizes[statement.partition("-")[0]] += 1
    assert sizes == SIZES


def test_every_statement_has_a_text_of_its_own() -> None:
    statements = ledger.read_statements(ROOT)
    texts: dict[str, list[str]] = {}
    for statement, text in statements.items():
        texts.setdefault(text, []).append(statement)
    assert [ids for ids in texts.values() if len(ids) > 1] == []
    assert [statement for statement, text in statements.items() if not 10 <= len(text) <= 220] == []


def test_the_deviations_can_be_read() -> None:
    ledger.read_deviations(ROOT, ledger.read_statements(ROOT))
