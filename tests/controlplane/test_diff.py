"""The deployment diff, row by row of the reference's table, and what is done better on purpose."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from gatewright.controlplane.sync.diff import diff
from gatewright.controlplane.sync.shrinkage import Shrinkage
from gatewright.store.rows import ArtifactRow
from gatewright.wire.deployments import DeploymentRow
from gatewright.wire.times import Timestamp

T0 = datetime(2026, 8, 1, 10, 0, tzinfo=UTC)


def local(uuid="a", *, deployment="d1", state="deployed", at=T0, origin="control_plane", cp_id=None):
    return ArtifactRow(
        uuid=uuid,
        kind="RestApi",
        handle=uuid,
        display_name=uuid,
        version="v1.0",
        document={},
        desired_state=state,
        deployment_id=deployment,
        deployed_at=at,
        origin=origin,
        cp_artifact_id=cp_id,
        created_at=T0,
        updated_at=T0,
    )


def remote(artifact="a", *, deployment="d1", state="DEPLOYED", at=T0):
    stamp = None if at is None else Timestamp(int(at.timestamp() * 1e9))
    return DeploymentRow(artifact_id=artifact, deployment_id=deployment, kind="RestApi", state=state, deployed_at=stamp)


LATER = T0 + timedelta(seconds=1)


@pytest.mark.conforms("CP-093", "CP-094")
@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [
        (None, remote(), "fetch"),
        (None, remote(state="deployed"), "fetch"),
        (None, remote(state="UNDEPLOYED"), "ignored"),
        (None, remote(state="whatever"), "ignored"),
        (local(), remote(deployment="d2", at=LATER), "fetch"),
        (local(), remote(deployment="d2", at=LATER, state="whatever"), "fetch"),
        (local(), remote(at=LATER, state="whatever"), "ignored"),
        (local(), remote(at=LATER, state="Undeployed"), "update"),
        (local(state="undeployed"), remote(at=LATER), "update"),
        (local(), remote(at=LATER), "fetch"),
        (local(at=None), remote(), "fetch"),
        (local(), remote(), "same"),
        (local(), None, "delete"),
    ],
)
def test_the_table(ours, theirs, result):
    found = diff([ours] if ours else [], [theirs] if theirs else [])
    counts = {
        "fetch": len(found.fetch),
        "update": len(found.update),
        "delete": len(found.delete),
        "same": len(found.same),
        "ignored": found.ignored,
    }
    assert counts.pop(result) == 1
    assert not any(counts.values())


def test_an_undeployment_under_another_deployment_takes_it_off_the_routers():
    (update,) = diff([local()], [remote(deployment="d2", state="UNDEPLOYED", at=LATER)]).update
    assert (update.deployed, update.deployment_id) == (False, "d1")


def test_what_is_not_newer_is_not_fetched_in_vain():
    assert diff([local(at=LATER)], [remote(deployment="d2")]).fetch == ()


@pytest.mark.conforms("CP-101")
@pytest.mark.parametrize("listed", [[], [remote()], [remote("cp-a", state="UNDEPLOYED", at=LATER)]])
def test_what_was_made_here_is_never_touched(listed):
    found = diff([local(origin="gateway_api", cp_id="cp-a")], listed)
    assert (found.fetch, found.update, found.delete) == ((), (), ())


def test_ids_of_the_control_plane_are_resolved():
    found = diff([local("mine", cp_id="theirs")], [remote("theirs")])
    assert len(found.same) == 1
    assert found.delete == ()


def test_sub_millisecond_times_are_compared_in_milliseconds():
    listed = msgspec.structs.replace(remote(), deployed_at=Timestamp(int(T0.timestamp() * 1000) * 1_000_000 + 999_999))
    assert len(diff([local()], [listed]).same) == 1


def test_a_list_that_shrinks_needs_a_second_equal_answer():
    guard = Shrinkage(0.5, 5)
    few, many = frozenset("abcde"), frozenset("abcdefgh")
    assert guard.believes("x", 6, few)
    assert guard.believes("x", 100, many)
    assert not guard.believes("x", 10, many)
    assert not guard.believes("x", 10, many - {"a"}), "another answer is no confirmation"
    assert not guard.believes("x", 10, many)
    assert not guard.believes("y", 10, many)
    assert guard.believes("x", 10, many)
    assert not guard.believes("x", 10, many), "the next time needs evidence of its own"
    assert Shrinkage(1.0, 0).believes("x", 10, many)
