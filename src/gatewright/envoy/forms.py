"""The two forms of routing and which of them a set of APIs needs.

`scoped`: one scope per first path segment; a change costs the same whatever the number of APIs. `flat`: one route
configuration for everything, needed as soon as a route's first segment is a parameter or a wildcard (an API at `/`),
because a scope key must be an exact text. Both answer every request alike.

Changing the form changes the listeners, nothing else. To lose no request: send the resources of the new form first,
then the listeners, and keep those of the old form until Envoy has drained the old filter chains (its drain time), since
requests on old connections are still routed by them. Envoy warms the new filter chain before it takes over, existing
connections finish their requests and are closed politely.
"""

from collections.abc import Iterable
from typing import Literal

from gatewright.model.api import Api

Form = Literal["scoped", "flat"]


def needs_flat(api: Api) -> bool:
    """Whether any route of the API matches more than one first segment."""
    return any(route.first_segment is None for route in api.routes)


def choose_form(apis: Iterable[Api]) -> Form:
    """`flat` when at least one API needs it."""
    return "flat" if any(needs_flat(api) for api in apis) else "scoped"
