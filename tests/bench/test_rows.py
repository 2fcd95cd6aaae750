"""What the figures are compared with, and what is written."""

import json
from pathlib import Path

import pytest
from bench.deploying import percentile
from bench.fleet import peak
from bench.rows import Row, row, write
from bench.slices import Slice, cpu_ratio, ratio
from bench.throughput import ratios


def turn(rate: float, cpu_us: float) -> Slice:
    return Slice(rate=rate, cpu_s=cpu_us / 1e6, failed=0, p50_ms=1, p99_ms=2)


def test_a_target_is_met_exactly_on_its_bound() -> None:
    assert row("a", 0.95, "ratio", least=0.95) == Row("a", 0.95, "ratio", ">= 0.95", ok=True)
    assert row("a", 0.949, "ratio", least=0.95).ok is False
    assert row("b", 25, "ms", most=25) == Row("b", 25, "ms", "<= 25", ok=True)
    assert row("b", 25.1, "ms", most=25).ok is False


def test_what_is_shown_decides() -> None:
    assert row("a", 0.94996, "ratio", least=0.95) == Row("a", 0.95, "ratio", ">= 0.95", ok=True)


def test_a_figure_without_target_is_ok() -> None:
    assert row("a", 3, "s") == Row("a", 3, "s", None, ok=True)


def test_a_slow_moment_of_the_machine_does_not_count() -> None:
    plain = [turn(100, 10), turn(20, 11), turn(100, 10)]
    bare = [turn(98, 11), turn(19, 12.1), turn(40, 11)]
    assert ratio(bare, plain) == pytest.approx(0.95)
    assert cpu_ratio(bare, plain) == pytest.approx(10 / 11)


def test_every_ratio_has_its_own_base() -> None:
    found = {
        "plain": [turn(100, 10)],
        "shortest": [turn(140, 9)],
        "bare": [turn(98, 11)],
        "key": [turn(75, 15)],
        "many": [turn(49, 12)],
    }
    values = {one.name: one.value for one in ratios(found, 2000)}
    assert values["throughput of a route / plain Envoy"] == 0.98
    assert values["throughput with api-key-auth / plain Envoy"] == 0.75
    assert values["throughput of a route / plain Envoy with one prefix route"] == 0.7
    assert values["throughput of the last of 2000 APIs / last of 10"] == 0.5


def test_percentiles() -> None:
    values = [float(number) for number in range(1, 102)]
    assert percentile(values, 50) == 51
    assert percentile(values, 99) == 100
    assert percentile([1.0, 2.0], 50) == 1.5


def test_the_report_is_a_list_of_plain_objects(tmp_path: Path) -> None:
    write([row("a", 1.0, "s", most=2), row("b", 7, "MB")], tmp_path / "build" / "bench.json")
    assert json.loads((tmp_path / "build" / "bench.json").read_text()) == [
        {"name": "a", "value": 1.0, "unit": "s", "target": "<= 2", "ok": True},
        {"name": "b", "value": 7, "unit": "MB", "target": None, "ok": True},
    ]
    assert list((tmp_path / "build").iterdir()) == [tmp_path / "build" / "bench.json"]


def test_the_peak_is_the_most_within_any_window() -> None:
    assert peak([], 1.0) == 0
    assert peak([1.0], 1.0) == 1
    assert peak([0.0, 0.9, 1.0, 1.1, 1.89, 5.0], 1.0) == 4
    assert peak([0.0, 0.5, 1.0], 0.5) == 1
