"""Policy `subscription-validation`: a request needs an active subscription to the API; its plan may limit requests."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from gatewright.artifacts.policies import PolicyDefinition
from gatewright.policies.contract import Behaviour
from gatewright.policies.subscription_validation.behaviour import SubscriptionValidation, cookie_of, header_of
from gatewright.policies.subscription_validation.native import NativeSubscriptionValidation


class SubscriptionValidationPolicy:
    """Definition, behaviour and native form together."""

    def __init__(self) -> None:
        text = files(__package__).joinpath("definition.yaml").read_text(encoding="utf-8")
        self.definition = PolicyDefinition.from_document(yaml.safe_load(text))
        self.native = NativeSubscriptionValidation()

    def attach(self, params: Mapping[str, Any]) -> Behaviour:
        """The behaviour with the header and the cookie to read."""
        return SubscriptionValidation(header=header_of(params), cookie=cookie_of(params))


POLICY = SubscriptionValidationPolicy()
