"""The controller: store, write path, roll-out, xDS server, management and admin API, link to a control plane."""

import asyncio
import gc
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from gatewright.artifacts.templates import Renderer
from gatewright.artifacts.vhosts import VhostDefaults
from gatewright.controlplane.credentials import TokenProvider
from gatewright.controlplane.plane import ControlPlane
from gatewright.deployment.builtin_templates import install_templates, template_folder
from gatewright.deployment.certificates import Certificates
from gatewright.deployment.data_plane import Routers
from gatewright.deployment.deployments import Deployments
from gatewright.deployment.document_rules import document_rules
from gatewright.deployment.immutable_artifacts import deploy_files
from gatewright.deployment.kinds import KindRules, RestApiRules
from gatewright.deployment.metrics import SNAPSHOT_SIZE
from gatewright.deployment.peers import Peers
from gatewright.deployment.returning import Returning
from gatewright.deployment.rollout import Rollout
from gatewright.deployment.secrets import Secrets
from gatewright.deployment.serving import ServingBoard
from gatewright.envoy.resource import CLUSTER, LISTENER, ROUTES, SCOPE, SECRET
from gatewright.management.admin import Admin, address_guard
from gatewright.management.api_keys import ApiKeys
from gatewright.management.apim_plan import ApimPlan
from gatewright.management.certificates import UpstreamCertificates
from gatewright.management.drift import Drift
from gatewright.management.identity import Authenticator
from gatewright.management.llm_provider_templates import LlmProviderTemplates
from gatewright.management.llm_providers import LlmProviders
from gatewright.management.llm_proxies import LlmProxies
from gatewright.management.matching import Operation
from gatewright.management.mcp_proxies import McpProxies
from gatewright.management.metrics import counting, metrics_app
from gatewright.management.mux import Mux
from gatewright.management.ports import HttpServer, bind
from gatewright.management.rest_apis import RestApis
from gatewright.management.secrets import SecretDocuments
from gatewright.management.serving import Serving
from gatewright.management.subscription_plans import SubscriptionPlans
from gatewright.management.subscriptions import Subscriptions
from gatewright.management.users import authenticator_of, needs_administrator
from gatewright.observability.logging import get_logger
from gatewright.policies.registry import installed
from gatewright.process.administrators import generated_administrator
from gatewright.process.certificate import self_signed
from gatewright.process.certificate_files import follow_certificates
from gatewright.process.gateway import gateway_of
from gatewright.process.held_link import HeldLink
from gatewright.process.overview import Overview
from gatewright.process.shared_certificate import share_certificate
from gatewright.process.storage import check_keys, key_ring, store_of
from gatewright.process.traces import start_tracing
from gatewright.process.xds_port import serve_xds
from gatewright.settings.tree import Settings
from gatewright.store import Store
from gatewright.xds.delivery import Delivery
from gatewright.xds.server import AdsServer
from gatewright.xds.snapshot import Snapshot

RESOURCE_TYPES = {"cluster": CLUSTER, "listener": LISTENER, "route": ROUTES, "scope": SCOPE, "secret": SECRET}
MANAGEMENT_BASE = "/api/management/v1"
ADMIN_BASE = "/api/admin/v1"
ENVIRONMENT_HIDDEN = ("APIP_GW_", "GATEWRIGHT_")
_log = get_logger(__name__)

Announce = Callable[[str, str], None]


class Controller:
    """Everything but the router. Start order: what is stored is loaded before anybody is answered."""

    def __init__(
        self, settings: Settings, *, announce: Announce, make_keys: bool, token: TokenProvider | None = None
    ) -> None:
        """`announce(name, password)` tells a generated administrator; `make_keys`: make missing encryption keys.

        `token` gives the present registration token; by default that of the settings.
        """
        self._settings = settings
        self._token = token
        self._announce = announce
        self._make_keys = make_keys
        self._stops: list[Callable[[], Awaitable[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.snapshot = Snapshot()
        self.delivery = Delivery(self.snapshot, keeps_times=settings.tracing.enabled)
        self.routers = Routers(self.delivery)
        self.board = ServingBoard()
        self.loaded = False

    async def start(self) -> None:
        """Start everything; when something cannot start, what was started is stopped again and the error raised."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop in reverse order."""
        for task in reversed(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        while self._stops:
            await self._stops.pop()()

    async def _start(self) -> None:
        settings = self._settings
        if settings.tracing.enabled:
            self._stops.append(start_tracing(settings))
        management = bind(
            settings.gatewright.bind.management, settings.controller.server.api_port, "the management API"
        )
        self._stops.append(_closing(management.close))
        store = await self._open_store()
        if store.is_shared and settings.router.https_enabled:
            await share_certificate(store, _own_certificates(settings))
        read_gateway = partial(gateway_of, settings, partial(_own_certificate, settings))
        gateway = read_gateway()
        catalogue = installed().catalogue
        secrets = Secrets(store)
        await secrets.load()
        environment = _visible_environment()
        renderer = Renderer(secret=secrets.value, environment=environment)
        rest_apis = RestApiRules(
            catalogue=catalogue,
            defaults=VhostDefaults(main=gateway.vhosts.main, sandbox=gateway.vhosts.sandbox),
            renderer=renderer,
            gateway=gateway,
        )
        rules: list[KindRules] = [rest_apis, *document_rules(catalogue=catalogue, renderer=renderer)]
        deployments = Deployments(
            store,
            rules,
            board=self.board,
            pushes=bool(settings.controller.controlplane.host),
            secrets=secrets,
            key_limit=settings.api_key.api_keys_per_user_per_api,
        )
        rollout = Rollout(
            store,
            rules,
            self.snapshot,
            self.board,
            gateway=gateway,
            data_plane=self.routers,
            secrets=secrets,
            poll_interval=settings.controller.event_hub.poll_interval.total_seconds(),
            retention=settings.controller.event_hub.retention_period.total_seconds(),
            cleanup_interval=settings.controller.event_hub.cleanup_interval.total_seconds(),
        )
        await install_templates(deployments, template_folder(settings.controller.llm.template_definitions_path))
        if settings.immutable_gateway.enabled:
            await deploy_files(deployments, Path(settings.immutable_gateway.artifacts_dir))
        await _without_collector(rollout.load)
        self.loaded = True
        peers = Peers(store, self.board, self._connected)
        returning = Returning(store, lambda: (*self._connected(), *peers.routers))
        await returning.load()
        self.board.expect(returning)
        if store.is_shared:
            self.board.join(peers)
            self._tasks.append(asyncio.create_task(peers.run(), name="peers"))
        self._tasks.append(asyncio.create_task(rollout.run(), name="rollout"))
        self._tasks.append(
            asyncio.create_task(
                follow_certificates(gateway, read_gateway, rollout.replace_gateway), name="certificate files"
            )
        )
        self._stops.append(_closing(rollout.close))
        await self._serve_xds()
        self._tasks.append(asyncio.create_task(returning.run(), name="returning routers"))
        make_link = partial(
            ControlPlane,
            settings,
            deployments,
            catalogue=installed().catalogue,
            memory=store,
            token=self._token,
            secrets=secrets,
            environment=environment,
        )
        link = HeldLink(store, make_link, lambda: peers.holder)
        overview = Overview(
            settings,
            snapshot=self.snapshot,
            delivery=self.delivery,
            deployments=deployments,
            loaded=lambda: self.loaded,
            link=link,
            store=store,
            peers=peers,
        )
        certificates = Certificates(store, self.board)
        others = [
            *RestApis(deployments, link).operations(),
            *SecretDocuments(secrets).operations(),
            *UpstreamCertificates(certificates, gateway.upstream_tls).operations(),
        ]
        generated = await generated_administrator(store, self._announce) if needs_administrator(settings) else None
        people = authenticator_of(settings, generated)
        await self._serve_management(management, deployments, others, people)
        await self._serve_admin(deployments, certificates, overview, people)
        await link.start()
        self._stops.append(link.stop)

    def _connected(self) -> list[str]:
        """The routers that have an Envoy."""
        return [router.router for router in self.routers.now({}).routers]

    async def _open_store(self) -> Store:
        settings = self._settings
        store = await store_of(settings, key_ring(settings, make_missing=self._make_keys))
        self._stops.append(store.close)
        if store.is_shared:
            await check_keys(store)
        return store

    async def _serve_xds(self) -> None:
        server = AdsServer(self.snapshot, self.routers)
        self._stops.append(server.stop)
        await serve_xds(server, self._settings)

    async def _serve_management(
        self, bound: socket.socket, deployments: Deployments, others: Sequence[Operation], people: Authenticator
    ) -> None:
        operations = [
            *LlmProviderTemplates(deployments).operations(),
            *LlmProviders(deployments).operations(),
            *LlmProxies(deployments).operations(),
            *McpProxies(deployments).operations(),
            *ApiKeys(deployments, kind="RestApi", collection="rest-apis").operations(),
            *ApiKeys(deployments, kind="LlmProvider", collection="llm-providers").operations(),
            *ApiKeys(deployments, kind="LlmProxy", collection="llm-proxies").operations(),
            *SubscriptionPlans(deployments).operations(),
            *Subscriptions(deployments).operations(),
            *others,
            *Serving(deployments).operations(),
        ]
        immutable = self._settings.immutable_gateway.enabled
        app = Mux(MANAGEMENT_BASE, operations, people, immutable=immutable)
        await self._serve(app, bound, "management API")

    async def _serve_admin(
        self, deployments: Deployments, certificates: Certificates, overview: Overview, people: Authenticator
    ) -> None:
        settings = self._settings
        admin = settings.controller.admin_server
        if admin.enabled:
            everything = Admin(
                overview,
                deployments,
                installed().catalogue,
                config_dump=admin.config_dump.enabled,
                certificates=certificates,
            )
            endpoints = [*everything.operations(), *Drift(overview).operations(), *ApimPlan(overview).operations()]
            app = Mux(ADMIN_BASE, endpoints, people, correlated=False, guard=address_guard(tuple(admin.allowed_ips)))
            await self._serve(app, bind(settings.gatewright.bind.admin, admin.port, "the admin API"), "admin API")
        metrics = settings.controller.metrics
        if metrics.enabled:
            bound = bind(settings.gatewright.bind.metrics, metrics.port, "the metrics port")
            refresh = counting(deployments, storage_type=settings.controller.storage.type)
            for name, type_url in RESOURCE_TYPES.items():
                SNAPSHOT_SIZE.labels(name).set_function(partial(_count, self.snapshot, type_url))
            await self._serve(metrics_app(refresh), bound, "metrics")

    async def _serve(self, app: ASGIApp, bound: socket.socket, what: str) -> None:
        timeout = self._settings.controller.server.shutdown_timeout.total_seconds()
        server = HttpServer(app, bound, shutdown_timeout_s=timeout)
        await server.start()
        self._stops.append(server.stop)
        _log.info(f"serving: {what}", port=server.port)


async def _without_collector(load: Callable[[], Awaitable[None]]) -> None:
    """What is loaded stays: to look through it while it comes, and again and again afterwards, costs and frees nothing.

    Measured: a tenth of the start, and 100 ms during which nobody is answered, each time.
    """
    gc.disable()
    try:
        await load()
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()


def _count(snapshot: Snapshot, type_url: str) -> float:
    return float(len(snapshot.of_type(type_url)))


def _own_certificate(settings: Settings) -> tuple[str, str]:
    return self_signed(_own_certificates(settings), datetime.now(UTC))


def _own_certificates(settings: Settings) -> Path:
    return _data_dir(settings) / "listener-certs"


def _data_dir(settings: Settings) -> Path:
    return Path(settings.gatewright.data_dir)


def _visible_environment() -> dict[str, str]:
    """What `{{ env }}` in documents may read: never the gateway's own variables, which hold its secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_HIDDEN)}


def _closing(close: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def stop() -> None:
        close()

    return stop
