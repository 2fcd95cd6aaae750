"""Model → Envoy's resources: clusters, scopes with their routes, the flat form, listeners, secrets.

Pure functions of their arguments with deterministic bytes: equal input gives equal `Resource.version`, so that
unchanged resources are never sent again. May import `model` and `policies`; knows neither the
documents nor the network.
"""

from gatewright.envoy.changes import Changes, render_all, render_changes, render_credentials
from gatewright.envoy.clusters import render_cluster
from gatewright.envoy.flat import render_flat
from gatewright.envoy.forms import Form, choose_form
from gatewright.envoy.listeners import render_listeners, render_secrets
from gatewright.envoy.resource import Resource
from gatewright.envoy.scope_index import ScopeIndex, Touched
from gatewright.envoy.scopes import render_health_scope, render_scope, scope_key, scope_name

__all__ = [
    "Changes",
    "Form",
    "Resource",
    "ScopeIndex",
    "Touched",
    "choose_form",
    "render_all",
    "render_changes",
    "render_cluster",
    "render_credentials",
    "render_flat",
    "render_health_scope",
    "render_listeners",
    "render_scope",
    "render_secrets",
    "scope_key",
    "scope_name",
]
