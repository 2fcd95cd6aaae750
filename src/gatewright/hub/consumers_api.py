"""The people's API for what consumers and documents need: plans, subscriptions, applications, secrets."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gatewright.hub import applications, plans, platform_secrets, subscriptions
from gatewright.hub.applications import ApplicationRequest
from gatewright.hub.http import as_json, read_json
from gatewright.hub.plans import PlanRequest
from gatewright.hub.platform_secrets import SecretChange, SecretRequest
from gatewright.hub.store import Store, Unit
from gatewright.hub.subscriptions import SubscriptionChange, SubscriptionRequest
from gatewright.hub.views import View

Endpoint = Callable[[Request], Awaitable[Response]]
B = TypeVar("B")


class ConsumersApi:
    """Endpoints over the modules of the four things; each has the same five."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def table(self) -> list[tuple[str, str, Endpoint]]:
        """(method, path, endpoint) of each."""
        return [
            ("GET", "/plans", self._all(lambda connection, _request: plans.views(connection))),
            ("POST", "/plans", self._created(PlanRequest, plans.create)),
            ("GET", "/plans/{ref}", self._one(lambda connection, ref: plans.view(plans.find(connection, ref)))),
            ("PUT", "/plans/{ref}", self._changed(PlanRequest, plans.change)),
            ("DELETE", "/plans/{ref}", self._removed(plans.remove)),
            (
                "GET",
                "/subscriptions",
                self._all(
                    lambda connection, request: subscriptions.views(connection, request.query_params.get("api", ""))
                ),
            ),
            ("POST", "/subscriptions", self._created(SubscriptionRequest, subscriptions.create)),
            ("GET", "/subscriptions/{ref}", self._one(subscriptions.view)),
            ("PATCH", "/subscriptions/{ref}", self._changed(SubscriptionChange, subscriptions.change)),
            ("DELETE", "/subscriptions/{ref}", self._removed(subscriptions.remove)),
            ("GET", "/applications", self._all(lambda connection, _request: applications.views(connection))),
            ("POST", "/applications", self._created(ApplicationRequest, applications.create)),
            (
                "GET",
                "/applications/{ref}",
                self._one(lambda connection, ref: applications.view(connection, applications.find(connection, ref))),
            ),
            ("PUT", "/applications/{ref}", self._changed(ApplicationRequest, applications.change)),
            ("DELETE", "/applications/{ref}", self._removed(applications.remove)),
            ("GET", "/secrets", self._all(lambda connection, _request: platform_secrets.views(connection))),
            ("POST", "/secrets", self._created(SecretRequest, platform_secrets.create)),
            (
                "GET",
                "/secrets/{ref}",
                self._one(lambda connection, ref: platform_secrets.view(platform_secrets.find(connection, ref))),
            ),
            ("PUT", "/secrets/{ref}", self._changed(SecretRequest, platform_secrets.change)),
            ("PATCH", "/secrets/{ref}", self._changed(SecretChange, platform_secrets.modify)),
            ("DELETE", "/secrets/{ref}", self._removed(platform_secrets.remove)),
        ]

    def _all(self, work: Callable[[Connection, Request], Sequence[View]]) -> Endpoint:
        async def listing(request: Request) -> Response:
            rows = await self._store.read(lambda connection: work(connection, request))
            return as_json({"count": len(rows), "list": rows})

        return listing

    def _one(self, work: Callable[[Connection, str], View]) -> Endpoint:
        async def one(request: Request) -> Response:
            ref = request.path_params["ref"]
            return as_json(await self._store.read(lambda connection: work(connection, ref)))

        return one

    def _created(self, kind: type[B], work: Callable[[Unit, B], View]) -> Endpoint:
        async def created(request: Request) -> Response:
            wanted = await read_json(request, kind)
            return as_json(await self._store.write(lambda unit: work(unit, wanted)), 201)

        return created

    def _changed(self, kind: type[B], work: Callable[[Unit, str, B], View]) -> Endpoint:
        async def changed(request: Request) -> Response:
            ref, wanted = request.path_params["ref"], await read_json(request, kind)
            return as_json(await self._store.write(lambda unit: work(unit, ref, wanted)))

        return changed

    def _removed(self, work: Callable[[Unit, str], None]) -> Endpoint:
        async def removed(request: Request) -> Response:
            ref = request.path_params["ref"]
            await self._store.write(lambda unit: work(unit, ref))
            return Response(status_code=204)

        return removed
