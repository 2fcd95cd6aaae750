"""`kill -9` at every statement and commit of a sequence of writes.

Nothing acknowledged is lost, nothing is half made.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "crash_runs.py"


def runs(folder, scenario, step=1):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), scenario, str(step)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def sound(run):
    assert run["status"] == -9, run["acknowledged"]
    assert run["dumped"] == 0, run["state"]
    assert run["state"]["sound"] == "ok"
    assert run["state"]["strays"] == []


def test_one_write_after_another(tmp_path):
    report = runs(tmp_path, "one")
    reference = {entry["reference"]: entry["state"] for entry in report if "reference" in entry}
    crashes = [entry for entry in report if "point" in entry]
    assert len(crashes) > 100
    for run in crashes:
        sound(run)
        acknowledged = run["acknowledged"][-1] if run["acknowledged"] else 0
        # The write under way may have been committed without its caller having heard of it; more may not.
        allowed = [reference[acknowledged], reference.get(acknowledged + 1)]
        assert run["state"] in allowed, (run["point"], acknowledged)
    assert {run["acknowledged"][-1] for run in crashes if run["acknowledged"]} >= set(range(15))


@pytest.mark.parametrize("step", [7])
def test_many_writes_at_once(tmp_path, step):
    crashes = runs(tmp_path, "together", step)
    # In how many commits the writes go depends on the machine: they may all have gone in one.
    assert len(crashes) > 20
    for run in crashes:
        sound(run)
        state = run["state"]
        stored = {row["handle"]: row["uuid"] for row in state["artifacts"]}
        assert {f"api-{number}" for number in run["acknowledged"]} <= stored.keys()
        assert {row["uuid"] for row in state["rest_apis"]} == set(stored.values())
        assert sorted(row["entity_id"] for row in state["outbox"]) == sorted(stored.values())
        assert sorted(row["artifact_id"] for row in state["changes"]) == sorted(stored.values())
