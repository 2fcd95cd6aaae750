"""How much is measured. Pure."""

import msgspec

FEW = 10


class Plan(msgspec.Struct, frozen=True):
    """Counts, and times in seconds. `thousand`, `many`, `most`: APIs of the larger gateways; the smallest has `FEW`.

    `made_alone`: APIs that are made while an API Manager is away; 0, also for `events`: that is not measured.
    `fleet`: gateways that lose a hub together for `outage_s`; 0: that is not measured.
    `deaths`: whether processes of a fleet are killed in turn.
    `settled_s`: memory is read when it has not changed for so long; Envoy gives some back every ten seconds.
    """

    thousand: int = 1_000
    many: int = 2_000
    most: int = 5_000
    rounds: int = 15
    slice_s: float = 2.0
    deploys: int = 200
    starts: int = 5
    edits: int = 200
    connections: int = 16
    reconciles: int = 5
    burst: int = 1_000
    revocations: int = 150
    warm_up_events: int = 5_000
    events: int = 10_000
    made_alone: int = 500
    fleet: int = 200
    outage_s: float = 60.0
    deaths: bool = True
    settled_s: float = 11.0

    @property
    def sizes(self) -> dict[str, int]:
        """APIs by gateway, the smallest first."""
        return {"few": FEW, "thousand": self.thousand, "many": self.many, "most": self.most}


FULL = Plan()
QUICK = Plan(
    thousand=100,
    most=700,
    rounds=8,
    slice_s=0.5,
    deploys=20,
    starts=1,
    edits=100,
    reconciles=3,
    burst=150,
    revocations=20,
    events=0,
    settled_s=2.0,
    made_alone=0,
    fleet=0,
    deaths=False,
)
