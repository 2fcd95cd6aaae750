"""Clusters in use are never free, clusters out of use always are."""

from gatewright.envoy.resource import SCOPE
from gatewright.xds.cluster_use import ClusterUse

KEY = (SCOPE, "s")
OLD, NEW = frozenset({"old"}), frozenset({"new"})


def test_from_the_first_sending_to_the_last_holding_it_is_in_use() -> None:
    use = ClusterUse()
    free = [use.free("old")]
    use.sending(OLD)
    free.append(use.free("old"))
    use.holds(KEY, OLD)
    use.withdrawn(OLD)
    free.append(use.free("old"))
    use.dropped(KEY)
    free.append(use.free("old"))

    assert free == [True, False, False, True]


def test_while_a_new_version_travels_both_are_in_use() -> None:
    use = ClusterUse()
    use.holds(KEY, OLD)
    use.sending(NEW)
    both = (use.free("old"), use.free("new"))
    use.holds(KEY, NEW)
    use.withdrawn(NEW)

    assert both == (False, False)
    assert (use.free("old"), use.free("new")) == (True, False)


def test_a_doubtful_version_is_in_use_until_it_is_refuted() -> None:
    use = ClusterUse()
    use.holds(KEY, OLD)
    use.may_hold(KEY, "v2", NEW)
    use.may_hold(KEY, "v2", NEW)
    doubtful = use.free("new")
    use.refuted(KEY, "v2")
    use.refuted(KEY, "v2")

    assert not doubtful
    assert (use.free("old"), use.free("new")) == (False, True)


def test_certainty_ends_all_doubts() -> None:
    use = ClusterUse()
    use.may_hold(KEY, "v1", OLD)
    use.may_hold(KEY, "v2", NEW)
    use.holds(KEY, NEW)

    assert (use.free("old"), use.free("new")) == (True, False)


def test_nothing_is_free_while_it_is_unknown_what_a_router_holds() -> None:
    use = ClusterUse()
    use.claim(KEY)
    unknown = use.free("anything")
    use.holds(KEY, NEW)

    assert not unknown
    assert use.free("anything")
