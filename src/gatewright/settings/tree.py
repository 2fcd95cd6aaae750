"""The root of the settings tree. Attribute paths equal key paths. Pure data."""

from gatewright.settings.controller import Controller
from gatewright.settings.kinds import Opaque, Section, key, table
from gatewright.settings.own import Gatewright
from gatewright.settings.policy_engine import PolicyEngine
from gatewright.settings.router import Router
from gatewright.settings.shared import (
    Analytics,
    ApiKey,
    Collector,
    ImmutableGateway,
    Mcp,
    Subscriptions,
    Tracing,
)
from gatewright.settings.traffic_logging import TrafficLogging

_PRICES = "/etc/policy-engine/llm-pricing/model_prices.json"


class Settings(Section):
    """Every key that is known, to the original or to Gatewright."""

    controller: Controller = table(Controller)
    router: Router = table(Router)
    policy_engine: PolicyEngine = table(PolicyEngine)
    collector: Collector = table(Collector)
    analytics: Analytics = table(Analytics)
    traffic_logging: TrafficLogging = table(TrafficLogging)
    tracing: Tracing = table(Tracing)
    api_key: ApiKey = table(ApiKey)
    subscriptions: Subscriptions = table(Subscriptions)
    immutable_gateway: ImmutableGateway = table(ImmutableGateway)
    mcp: Mcp = table(Mcp)
    policy_configurations: Opaque = key(
        {"llm_cost_v1": {"pricing_file": _PRICES}},
        "Free-form values that policies read through ${config.policy_configurations…}.",
    )
    gateway_controller: Opaque = key({}, "Free-form table that the original's policy engine tolerates.")
    gatewright: Gatewright = table(Gatewright)
