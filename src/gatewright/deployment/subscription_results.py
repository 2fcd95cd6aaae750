"""Outcomes of the write path for subscriptions, plans and applications, as values. Pure.

Management calls return `PlanStored`, `SubscriptionStored` and raise; control-plane calls return one of `PlanApplied`,
`SubscriptionApplied`, `ApplicationApplied`, `Removed`, `RecordUnknown`, `RecordIgnored`: nothing of it is acknowledged.

    DeploymentError              code, message
    ├── PlanNotFound
    ├── PlanInUse                subscriptions refer to it
    ├── SubscriptionNotFound
    └── SubscriptionRefused      a rule about plans and subscriptions; the message is the original's
"""

from typing import Literal

import msgspec

from gatewright.deployment.results import Change, DeploymentError
from gatewright.store.rows import ApplicationRow, PlanRow, SubscriptionRow


class PlanStored(msgspec.Struct, frozen=True):
    """A plan was made or changed."""

    row: PlanRow
    change: Change


class SubscriptionStored(msgspec.Struct, frozen=True):
    """A subscription was made or changed."""

    row: SubscriptionRow
    change: Change


class PlanApplied(msgspec.Struct, frozen=True):
    """The control plane's plan is stored. `change` is None when it was stored like this already."""

    row: PlanRow
    change: Change | None


class SubscriptionApplied(msgspec.Struct, frozen=True):
    """The control plane's subscription is stored. `change` is None when it was stored like this already."""

    row: SubscriptionRow
    change: Change | None


class ApplicationApplied(msgspec.Struct, frozen=True):
    """The keys of an application are stored; `changes` are those of the keys that this concerns.

    `row` is None when the application has no keys any more.
    """

    row: ApplicationRow | None
    changes: tuple[Change, ...]


class Removed(msgspec.Struct, frozen=True):
    """It is gone. `change` is None when there was none: removing is idempotent."""

    change: Change | None


class RecordUnknown(msgspec.Struct, frozen=True):
    """An update of something that is not here is skipped."""

    uuid: str


IgnoredReason = Literal[
    "MISSING_FIELD", "INVALID_FIELD", "STATUS", "NAME_TAKEN", "TOKEN_TAKEN", "IN_USE", "STORE_UNAVAILABLE"
]


class RecordIgnored(msgspec.Struct, frozen=True):
    """An event or an entry of a list that breaks a rule is dropped. The message never holds a token."""

    reason: IgnoredReason
    message: str


class Replaced(msgspec.Struct, frozen=True):
    """What a complete list of the control plane made of what is stored.

    `withheld`: how many it would have ended had it been believed. `ignored`: its entries that break a rule.
    """

    applied: int = 0
    unchanged: int = 0
    removed: int = 0
    withheld: int = 0
    ignored: tuple[RecordIgnored, ...] = ()


class PlanNotFound(DeploymentError):
    """No plan has this UUID."""

    code = "PLAN_NOT_FOUND"


class PlanInUse(DeploymentError):
    """Subscriptions refer to the plan."""

    code = "PLAN_IN_USE"


class SubscriptionNotFound(DeploymentError):
    """No subscription has this UUID."""

    code = "SUBSCRIPTION_NOT_FOUND"


class SubscriptionRefused(DeploymentError):
    """A rule about plans or subscriptions; the message is the original's."""

    code = "SUBSCRIPTION_REFUSED"
