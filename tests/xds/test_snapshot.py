"""What should be served now, and who hears of changes."""

from xds_client import cluster, scope

from gatewright.envoy.resource import CLUSTER, SCOPE, Resource
from gatewright.xds.snapshot import Snapshot


def listening(snapshot: Snapshot) -> list[tuple[tuple[str, str], ...]]:
    heard: list[tuple[tuple[str, str], ...]] = []
    snapshot.subscribe(heard.append)
    return heard


def test_equal_content_is_no_change() -> None:
    snapshot = Snapshot()
    snapshot.apply([cluster("c")])
    heard = listening(snapshot)

    update = snapshot.apply([cluster("c")], [(CLUSTER, "unknown")])

    assert update.changed == ()
    assert update.versions == {(CLUSTER, "c"): cluster("c").version, (CLUSTER, "unknown"): None}
    assert heard == []


def test_changes_and_removals_are_heard_in_one_piece() -> None:
    snapshot = Snapshot()
    snapshot.apply([cluster("old")])
    heard = listening(snapshot)

    snapshot.apply([cluster("new")], [(CLUSTER, "old")])

    assert [set(keys) for keys in heard] == [{(CLUSTER, "new"), (CLUSTER, "old")}]
    assert set(snapshot.of_type(CLUSTER)) == {"new"}
    assert len(snapshot) == 1


def test_putting_beats_removing() -> None:
    snapshot = Snapshot()

    snapshot.apply([cluster("c")], [(CLUSTER, "c")])

    assert snapshot.get((CLUSTER, "c")) is not None


def test_updates_count_up() -> None:
    snapshot = Snapshot()

    assert [snapshot.apply([]).id for _ in range(3)] == [1, 2, 3]


def test_the_first_update_loads_it_even_an_empty_one() -> None:
    snapshot = Snapshot()
    heard = listening(snapshot)
    before = snapshot.loaded

    snapshot.apply([])

    assert (before, snapshot.loaded, heard) == (False, True, [()])


def test_held_back_it_is_loaded_only_when_released() -> None:
    snapshot = Snapshot(hold=True)
    heard = listening(snapshot)
    snapshot.apply([cluster("c")])
    before = snapshot.loaded

    snapshot.release()
    snapshot.release()

    assert (before, snapshot.loaded) == (False, True)
    assert heard == [((CLUSTER, "c"),), ()]


def test_needs_follow_the_content() -> None:
    snapshot = Snapshot()
    snapshot.apply([scope("s", ["a", "b"])])
    first = snapshot.needs((SCOPE, "s"))
    snapshot.apply([scope("s", ["c"])])

    assert first == {"a", "b"}
    assert snapshot.needs((SCOPE, "s")) == {"c"}
    assert snapshot.needs((SCOPE, "unknown")) == set()
    assert snapshot.needs((CLUSTER, "c")) == set()


def test_bytes_that_are_none_need_nothing() -> None:
    snapshot = Snapshot()
    snapshot.apply([Resource(SCOPE, "s", "v", b"\xff\xff")])

    assert snapshot.needs((SCOPE, "s")) == set()


def test_who_has_cancelled_hears_nothing() -> None:
    snapshot = Snapshot()
    heard: list[object] = []
    cancel = snapshot.subscribe(heard.append)
    cancel()
    cancel()

    snapshot.apply([cluster("c")])

    assert heard == []
