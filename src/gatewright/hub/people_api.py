"""The hub's own REST API for people and their tools, below `/api/hub/v1`. One administrator, by bearer token."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gatewright import __version__
from gatewright.hub import artifacts, deployments, event_log, gateways, history, keys, manifests, openapi, watch_api
from gatewright.hub.admin import Administrator
from gatewright.hub.consumers_api import ConsumersApi
from gatewright.hub.documents import as_yaml, read_document, read_tree
from gatewright.hub.gateways import Registration
from gatewright.hub.http import as_json, public_handlers, read_body, read_json
from gatewright.hub.keys import KeyRequest
from gatewright.hub.problems import ApiError, invalid
from gatewright.hub.services import Services
from gatewright.hub.store import Unit
from gatewright.hub.views import Deployed, GatewayView, Health, View
from gatewright.hub.watching import Touched
from gatewright.wire.paths import REASON_SERVER_NORMAL
from gatewright.wire.times import Timestamp

BASE: Final = "/api/hub/v1"

Endpoint = Callable[[Request], Awaitable[Response]]


class _Overlap(msgspec.Struct, frozen=True, rename="camel"):
    """Body of a rotation: how long the old token lives on."""

    overlap_seconds: float = 3600.0


class PeopleApi:
    """All endpoints for people, as an application to be mounted at `BASE`."""

    def __init__(self, services: Services, administrator: Administrator, started_at: Timestamp) -> None:
        self._services = services
        self._administrator = administrator
        self._started_at = started_at

    def application(self) -> Starlette:
        """The application; everything but the health needs the token."""
        routes = [Route("/health", self._health, methods=["GET"])]
        for method, path, endpoint in self._table():
            routes.append(Route(path, self._guarded(endpoint), methods=[method]))
        return Starlette(routes=routes, exception_handlers=public_handlers())

    def _table(self) -> list[tuple[str, str, Endpoint]]:
        return [
            ("GET", "/gateways", self._list_gateways),
            ("POST", "/gateways", self._register),
            ("GET", "/gateways/{handle}", self._get_gateway),
            ("PUT", "/gateways/{handle}", self._change_gateway),
            ("DELETE", "/gateways/{handle}", self._delete_gateway),
            ("GET", "/gateways/{handle}/tokens", self._list_tokens),
            ("POST", "/gateways/{handle}/tokens", self._issue_token),
            ("POST", "/gateways/{handle}/tokens/rotate", self._rotate_token),
            ("DELETE", "/gateways/{handle}/tokens/{token_id}", self._revoke_token),
            ("GET", "/gateways/{handle}/manifest", self._get_manifest),
            ("GET", "/artifacts", self._list_artifacts),
            ("POST", "/artifacts", self._deploy_document),
            ("GET", "/artifacts/{ref}", self._get_artifact),
            ("DELETE", "/artifacts/{ref}", self._delete_artifact),
            ("POST", "/artifacts/{ref}/deploy", self._deploy_again),
            ("POST", "/artifacts/{ref}/undeploy", self._undeploy),
            ("GET", "/artifacts/{ref}/deployments", self._list_records),
            ("GET", "/artifacts/{ref}/deployments/{id}", self._get_record),
            ("POST", "/artifacts/{ref}/deployments/{id}/restore", self._restore),
            ("GET", "/artifacts/{ref}/api-keys", self._list_keys),
            ("POST", "/artifacts/{ref}/api-keys", self._create_key),
            ("DELETE", "/artifacts/{ref}/api-keys/{name}", self._revoke_key),
            ("POST", "/artifacts/{ref}/api-keys/{name}/regenerate", self._regenerate_key),
            ("GET", "/deployments", self._list_deployments),
            ("GET", "/events", self._list_events),
            ("GET", "/watch", self._watch),
            ("POST", "/openapi", self._convert),
            *ConsumersApi(self._services.store).table(),
        ]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            scheme, _, presented = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self._administrator.is_token(presented.strip()):
                message = "Give the hub's admin token as 'Authorization: Bearer …'; it stands in the file admin-token."
                raise ApiError(401, "UNAUTHORIZED", message)
            return await endpoint(request)

        return guarded

    async def _health(self, _request: Request) -> Response:
        health = Health(
            status="ok",
            version=__version__,
            gateways_connected=self._services.connections.gateways,
            started_at=self._started_at.seconds_text(),
        )
        return as_json(health)

    # Gateways

    async def _list_gateways(self, _request: Request) -> Response:
        rows = await self._services.store.read(gateways.listed)
        return _listed([gateways.view(row, self._services.connections.since(row.id)) for row in rows])

    async def _register(self, request: Request) -> Response:
        wanted = await read_json(request, Registration)
        handle = await self._services.store.write(lambda unit: gateways.register(unit, wanted))
        view = await self._gateway(handle)
        self._services.watchers.tell(Touched(gateway_id=view.uuid))
        return as_json(view, 201, {"location": f"{BASE}/gateways/{handle}"})

    async def _get_gateway(self, request: Request) -> Response:
        return as_json(await self._gateway(request.path_params["handle"]))

    async def _change_gateway(self, request: Request) -> Response:
        handle, wanted = request.path_params["handle"], await read_json(request, Registration)
        gateway_id = await self._services.store.write(lambda unit: gateways.change(unit, handle, wanted))
        self._services.watchers.tell(Touched(gateway_id=gateway_id))
        return as_json(await self._gateway(handle))

    async def _delete_gateway(self, request: Request) -> Response:
        handle = request.path_params["handle"]
        gateway_id = await self._services.store.write(lambda unit: gateways.remove(unit, handle))
        await self._services.connections.close_where(lambda each: each.gateway_id == gateway_id, REASON_SERVER_NORMAL)
        self._services.watchers.tell(Touched(handle=f"gateway/{handle}"))
        return Response(status_code=204)

    async def _gateway(self, handle: str) -> GatewayView:
        row = await self._services.store.read(lambda connection: gateways.find(connection, handle))
        return gateways.view(row, self._services.connections.since(row.id))

    async def _list_tokens(self, request: Request) -> Response:
        handle = request.path_params["handle"]
        return _listed(await self._services.store.read(lambda connection: gateways.token_views(connection, handle)))

    async def _issue_token(self, request: Request) -> Response:
        handle = request.path_params["handle"]
        issued = await self._services.store.write(lambda unit: gateways.issue_token(unit, handle))
        return as_json(issued, 201, {"location": f"{BASE}/gateways/{handle}/tokens/{issued.id}"})

    async def _rotate_token(self, request: Request) -> Response:
        handle = request.path_params["handle"]
        wanted = await read_json(request, _Overlap)
        if not (math.isfinite(wanted.overlap_seconds) and 0 <= wanted.overlap_seconds <= 30 * 86_400):
            raise invalid("overlapSeconds: must be between 0 and 2592000 (30 days)")
        issued = await self._services.store.write(
            lambda unit: gateways.rotate_token(unit, handle, wanted.overlap_seconds)
        )
        return as_json(issued, 201, {"location": f"{BASE}/gateways/{handle}/tokens/{issued.id}"})

    async def _revoke_token(self, request: Request) -> Response:
        handle, token_id = request.path_params["handle"], request.path_params["token_id"]
        await self._services.store.write(lambda unit: gateways.revoke_token(unit, handle, token_id))
        await self._services.connections.close_where(lambda each: each.token_id == token_id, REASON_SERVER_NORMAL)
        return as_json({"message": "Token revoked successfully"})

    async def _get_manifest(self, request: Request) -> Response:
        handle = request.path_params["handle"]
        return as_json(await self._services.store.read(lambda connection: manifests.shown(connection, handle)))

    # Artifacts and deployments

    async def _list_artifacts(self, request: Request) -> Response:
        origin, kind = request.query_params.get("origin", ""), request.query_params.get("kind", "")
        return _listed(
            await self._services.store.read(lambda connection: artifacts.listed(connection, origin=origin, kind=kind))
        )

    async def _get_artifact(self, request: Request) -> Response:
        ref = request.path_params["ref"]
        row = await self._services.store.read(lambda connection: artifacts.find(connection, ref))
        return as_json(artifacts.view(row, with_document=True))

    async def _deploy_document(self, request: Request) -> Response:
        """Store a document and deploy it to the gateways named by `gateway` parameters, if any."""
        document = read_document(await read_body(request, self._services.config.max_document_bytes))
        handles = _gateway_handles(request)
        return await self._changed(lambda unit: deployments.deploy_document(unit, document, handles), 201)

    async def _deploy_again(self, request: Request) -> Response:
        ref, handles = request.path_params["ref"], _gateway_handles(request)
        if not handles:
            raise invalid("gateway: name at least one gateway, as in ?gateway=edge")
        return await self._changed(lambda unit: deployments.deploy_again(unit, ref, handles), 201)

    async def _undeploy(self, request: Request) -> Response:
        ref, handles = request.path_params["ref"], _gateway_handles(request)
        return await self._changed(lambda unit: deployments.undeploy(unit, ref, handles), 200)

    async def _list_records(self, request: Request) -> Response:
        ref, gateway = request.path_params["ref"], request.query_params.get("gateway", "")
        return _listed(
            await self._services.store.read(lambda connection: history.views(connection, ref, gateway=gateway))
        )

    async def _get_record(self, request: Request) -> Response:
        ref, wanted = request.path_params["ref"], request.path_params["id"]
        return as_json(await self._services.store.read(lambda connection: history.view(connection, ref, wanted)))

    async def _restore(self, request: Request) -> Response:
        ref, wanted = request.path_params["ref"], request.path_params["id"]
        return await self._changed(lambda unit: history.restore(unit, ref, wanted), 201)

    async def _changed(self, work: Callable[[Unit], str], status: int) -> Response:
        artifact_id = await self._services.store.write(work)
        self._services.watchers.tell(Touched(artifact_id=artifact_id))

        # Read after the commit: the event is on its way while the answer is made.
        def answer(connection: Connection) -> Deployed:
            return Deployed(
                artifact=artifacts.view(artifacts.find(connection, artifact_id)),
                deployments=tuple(deployments.views(connection, artifact_id=artifact_id)),
            )

        return as_json(await self._services.store.read(answer), status)

    async def _delete_artifact(self, request: Request) -> Response:
        ref = request.path_params["ref"]
        row = await self._services.store.write(lambda unit: artifacts.remove(unit, ref))
        self._services.watchers.tell(Touched(handle=f"artifact/{row.handle}"))
        return Response(status_code=204)

    async def _list_deployments(self, request: Request) -> Response:
        """Deployments, restricted by `artifact` and `gateway`; `wait` seconds at most until they are settled."""
        artifact, gateway = request.query_params.get("artifact", ""), request.query_params.get("gateway", "")

        def ids(connection: Connection) -> tuple[str | None, str | None]:
            return (
                str(artifacts.find(connection, artifact).id) if artifact else None,
                str(gateways.find(connection, gateway).id) if gateway else None,
            )

        artifact_id, gateway_id = await self._services.store.read(ids)
        wait = _number(request, "wait", 0.0)
        rows = await watch_api.settled(self._services, artifact_id=artifact_id, gateway_id=gateway_id, wait=wait)
        return _listed(rows)

    # Keys

    async def _list_keys(self, request: Request) -> Response:
        ref = request.path_params["ref"]
        return _listed(await self._services.store.read(lambda connection: keys.views(connection, ref)))

    async def _create_key(self, request: Request) -> Response:
        ref = request.path_params["ref"]
        wanted = await read_json(request, KeyRequest)
        return as_json(await self._services.store.write(lambda unit: keys.create(unit, ref, wanted)), 201)

    async def _regenerate_key(self, request: Request) -> Response:
        ref, name = request.path_params["ref"], request.path_params["name"]
        wanted = await read_json(request, KeyRequest)
        return as_json(await self._services.store.write(lambda unit: keys.regenerate(unit, ref, name, wanted)))

    async def _revoke_key(self, request: Request) -> Response:
        ref, name = request.path_params["ref"], request.path_params["name"]
        await self._services.store.write(lambda unit: keys.revoke(unit, ref, name))
        return Response(status_code=204)

    # What happens, and helpers

    async def _list_events(self, request: Request) -> Response:
        gateway = request.query_params.get("gateway", "")
        after, limit = int(_number(request, "after", 0)), int(_number(request, "limit", 100))
        return _listed(
            await self._services.store.read(
                lambda connection: event_log.views(connection, gateway=gateway, after=after, limit=max(1, limit))
            )
        )

    async def _watch(self, request: Request) -> Response:
        return await watch_api.stream(self._services, request)

    async def _convert(self, request: Request) -> Response:
        """Make a RestApi out of an OpenAPI document; options as query parameters, answer as YAML."""
        parameters = request.query_params
        tree = read_tree(await read_body(request, self._services.config.max_document_bytes))
        options = openapi.Options(
            handle=parameters.get("handle", ""),
            context=parameters.get("context", ""),
            upstream=parameters.get("upstream", ""),
            project=parameters.get("project", ""),
            protect=parameters.get("protect", openapi.PROTECT_DECLARED),
            key_header=parameters.get("keyHeader", openapi.KEY_HEADER),
        )
        try:
            converted = openapi.convert(tree, options)
        except openapi.OpenApiProblem as problem:
            raise invalid(*problem.problems) from None
        return Response(as_yaml(converted.document), media_type="application/yaml")


def _listed(rows: Sequence[View]) -> Response:
    return as_json({"count": len(rows), "list": rows})


def _gateway_handles(request: Request) -> tuple[str, ...]:
    return tuple(dict.fromkeys(handle for handle in request.query_params.getlist("gateway") if handle))


def _number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0 <= value <= 2**53):
        raise invalid(f"{name}: must be a number that is not negative")
    return value
