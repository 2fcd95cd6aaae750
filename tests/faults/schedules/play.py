"""Plays a schedule in a world, and keeps what was said to whom: the ground of the judgement afterwards."""

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import fault_schedule
import httpx2
import yaml
from fault_line import Faults
from fault_probe import Probe, ask
from fault_schedule import Operation, Schedule
from fault_told import BROKEN, POLICIES, Credential, HubApi, OwnApi
from fault_world import EDGE, World
from gateway_processes import rest_api

from gatewright.hub.client import HubClient, HubClientError
from gatewright.wire.kinds import PROJECT_ANNOTATION

_GRACE: Final = 0.25
"""Seconds in which what is acknowledged must be seen at Envoy: its threads take a change one after another."""

_RETURN: Final = 3.0
"""The same where controller or router are restarted: with no router connected, stored is all that can be said."""

_TOLD: Final = 5.0
"""Seconds in which the answer to a deployment must be here, which says what is deployed."""


class Played:
    """One schedule in one world."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        self.world = world
        self.schedule = schedule
        prefix = f"s{schedule.seed}"
        self.hub_apis = [HubApi(f"{prefix}-h{n}", flavour) for n, flavour in enumerate(fault_schedule.FLAVOURS)]
        self.own_apis = [OwnApi(f"{prefix}-g{n}", flavour) for n, flavour in enumerate(fault_schedule.OWN_FLAVOURS)]
        self.keys: dict[str, Credential] = {}
        self.subscriptions: dict[str, Credential] = {}
        self.plans: dict[str, str] = {}
        self.own_keys: dict[str, Credential] = {}
        self.own_subscriptions: dict[str, Credential] = {}
        self.lies: list[str] = []
        self.told: list[str] = []
        self.faults = Faults(schedule.seed)
        self.probe = Probe(world.router.ports["http"], world.secured_key)
        self.ports = world.router.ports
        self._begun = time.monotonic()
        self._up = {"controller": asyncio.Event(), "hub": asyncio.Event()}
        for event in self._up.values():
            event.set()
        self._client: HubClient | None = None
        self._management: httpx2.AsyncClient | None = None
        self._checks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """All lanes side by side, then the line is good again and every process runs."""
        world = self.world
        world.line.use(self.faults)
        async with self._clients():
            watching = asyncio.create_task(self._watch())
            self.probe.start()
            try:
                self._begun = time.monotonic()
                await asyncio.gather(*(self._lane(name) for name in ("hub", "gateway", "line", "kill")))
            finally:
                self.faults.all_off()
                world.line.use(Faults(0))
                watching.cancel()
                await asyncio.gather(watching, *self._checks, return_exceptions=True)
                await self.probe.stop()

    async def tidy(self) -> None:
        """Delete what was made, so that the next schedule finds a small world."""
        async with self._clients():
            assert self._client is not None
            for api in reversed(self.hub_apis):
                if api.exists:
                    await self._client.delete_artifact(api.handle)
            for own in self.own_apis:
                await self._manage("DELETE", f"/rest-apis/{own.handle}")

    def tell(self, text: str) -> None:
        self.told.append(f"{time.monotonic() - self._begun:6.3f}  {text}")

    @contextlib.asynccontextmanager
    async def _clients(self) -> Any:
        management = self.world.controller.management
        async with (
            self.world.client() as self._client,
            httpx2.AsyncClient(
                base_url=management.base_url, auth=management.auth, trust_env=False, timeout=30
            ) as self._management,
        ):
            yield

    async def _lane(self, name: str) -> None:
        for operation in self.schedule.lane(name):
            await asyncio.sleep(max(0.0, self._begun + operation.at - time.monotonic()))
            match name:
                case "hub":
                    await self._certainly(operation)
                case "gateway":
                    await self._up["controller"].wait()
                    await self._gateway(operation)
                case "line" if operation.what == "on":
                    self.faults.on(operation.subject, **operation.options)
                case "line":
                    self.faults.off(operation.subject)
                case "kill":
                    await self._kill(operation.subject)
            self.tell(f"{name}: {operation.what} {operation.subject} {operation.options or ''}".rstrip())

    # -- processes -----------------------------------------------------------------------------------------------------

    async def _kill(self, victim: str) -> None:
        world = self.world
        if victim == "envoy":
            with self.probe.excused():
                await asyncio.to_thread(world.kill_envoy)
                await asyncio.sleep(0.1)
                await asyncio.to_thread(world.router.wait_for_router)
            return
        if victim == "router":
            with self.probe.excused():
                await asyncio.to_thread(world.router.kill)
                await asyncio.to_thread(world.router.start)
            return
        process = {"controller": world.controller, "hub": world.hub}[victim]
        self._up[victim].clear()
        await asyncio.to_thread(process.kill)
        await asyncio.to_thread(process.start)
        self._up[victim].set()

    # -- the hub's side ------------------------------------------------------------------------------------------------

    async def _certainly(self, operation: Operation) -> None:
        """Until the hub has said yes. What it did before it was killed may be found done already."""
        for attempt in range(50):
            await self._up["hub"].wait()
            try:
                await self._hub(operation)
            except HubClientError as problem:
                if attempt and problem.status in {404, 409}:
                    await self._found_done(operation)
                    return
                if problem.status:
                    raise
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError(f"the hub does not answer: {operation}")

    async def _hub(self, operation: Operation) -> None:
        client, options = self._client, operation.options
        assert client is not None
        if operation.what == "plan":
            name = f"s{self.schedule.seed}-{operation.subject}"
            plan = await client.create_plan(name, throttleLimitCount=100_000, throttleLimitUnit="Hour")
            self.plans[operation.subject] = plan.id
            return
        api = self.hub_apis[int(operation.subject)]
        name = options.get("name", "")
        match operation.what:
            case "deploy":
                document = yaml.safe_dump(self.document(api, options["version"], broken=options.get("broken", False)))
                deployed = await client.deploy(document, [EDGE])
                api.version, api.exists = options["version"], True
                if options.get("broken"):
                    api.broken.add(api.version)
                self._deployed(api, deployed.deployments[0].deployment_id)
            case "deploy_again":
                deployed = await client.deploy_again(api.handle, [EDGE])
                self._deployed(api, deployed.deployments[0].deployment_id)
            case "undeploy":
                await client.undeploy(api.handle, [EDGE])
                api.deployed = False
                api.steps.append(0)
            case "delete":
                await client.delete_artifact(api.handle)
                self._deleted(api)
            case "key":
                issued = await client.create_key(api.handle, name)
                self.keys[name] = Credential(api.handle, name, issued.api_key)
            case "revoke":
                await client.revoke_key(api.handle, name)
                self.keys[name].active = False
            case "subscribe":
                plan = self.plans.get(options["plan"], "")
                made = await client.create_subscription(api.handle, plan=plan)
                uuid = made.subscription.id
                self.subscriptions[name] = Credential(api.handle, name, made.subscription_token, uuid=uuid)
            case "change":
                subscription = self.subscriptions[name]
                await client.change_subscription(subscription.uuid, status=options["status"])
                subscription.active = options["status"] == "ACTIVE"
            case "unsubscribe":
                subscription = self.subscriptions[name]
                await client.delete_subscription(subscription.uuid)
                subscription.active = False

    async def _found_done(self, operation: Operation) -> None:
        """The hub was killed between doing and saying so: take over what it has done; what cannot be known is left."""
        name = operation.options.get("name", "")
        api = self.hub_apis[int(operation.subject)] if operation.what != "plan" else None
        self.tell(f"found done: {operation.what} {operation.subject}")
        match operation.what:
            case "undeploy":
                assert api is not None
                api.deployed = False
                api.steps.append(0)
            case "delete":
                assert api is not None
                self._deleted(api)
            case "revoke":
                self.keys[name].active = False
            case "key":
                # Its value is known to nobody.
                self.keys[name] = Credential(str(operation.subject), name, "")
            case "unsubscribe":
                self.subscriptions[name].active = False
            case "plan":
                self.plans[operation.subject] = ""

    def _deployed(self, api: HubApi, deployment_id: str) -> None:
        api.deployed = True
        api.steps.append(api.version)
        api.deployments[deployment_id] = len(api.steps) - 1

    def _deleted(self, api: HubApi) -> None:
        api.exists = api.deployed = False
        api.steps.append(0)
        for credential in (*self.keys.values(), *self.subscriptions.values()):
            if credential.api == api.handle:
                credential.active = False

    def document(self, api: HubApi, version: int, *, broken: bool = False) -> dict[str, Any]:
        port, edition = self.world.backend.port, f"/edition-{version}"
        if api.has_traffic:
            policies = [BROKEN] if broken else POLICIES[api.flavour]
            return rest_api(api.handle, port, base=edition, policies=policies)
        spec: dict[str, Any] = {"displayName": api.handle, "version": "v1.0", "context": f"/{api.handle}{edition}"}
        if api.flavour == "provider":
            upstream = {"url": f"http://127.0.0.1:{port}{edition}"}
            spec |= {"template": "openai", "upstream": upstream, "accessControl": {"mode": "allow_all"}}
        else:
            spec |= {"provider": {"id": self.hub_apis[fault_schedule.PROVIDER].handle}}
        kind = {"provider": "LlmProvider", "proxy": "LlmProxy"}[api.flavour]
        version_of_api = "gateway.api-platform.wso2.com/v1"
        return {"apiVersion": version_of_api, "kind": kind, "metadata": {"name": api.handle}, "spec": spec}

    # -- the gateway's side --------------------------------------------------------------------------------------------

    async def _gateway(self, operation: Operation) -> None:
        api = self.own_apis[int(operation.subject)]
        match operation.what:
            case "create" | "edit":
                await self._write(api, operation.options["version"])
            case "delete":
                status, _ = await self._manage("DELETE", f"/rest-apis/{api.handle}")
                api.exists, api.certain = status not in {200, 404}, status != 0
                for credentials in (self.own_keys, self.own_subscriptions):
                    for each in [each for each in credentials.values() if each.api == api.handle]:
                        del credentials[each.name]
            case "key" | "subscribe":
                await self._give(api, operation.what, operation.options["name"])
            case "revoke" | "unsubscribe":
                await self._take(api, operation.what, operation.options["name"])

    async def _give(self, api: OwnApi, what: str, name: str) -> None:
        """A key or a subscription. Without an answer nobody has it."""
        if what == "key":
            status, made = await self._manage("POST", f"/rest-apis/{api.handle}/api-keys", {"name": name})
            if status in {200, 201}:
                self.own_keys[name] = Credential(api.handle, name, made["apiKey"]["apiKey"])
            return
        token = f"{api.handle}-{name}-token"
        status, made = await self._manage("POST", "/subscriptions", {"apiId": api.handle, "subscriptionToken": token})
        if status in {200, 201}:
            self.own_subscriptions[name] = Credential(api.handle, name, token, uuid=made["id"])

    async def _take(self, api: OwnApi, what: str, name: str) -> None:
        """End one. Without an answer nobody knows whether it lives."""
        known = self.own_keys if what == "revoke" else self.own_subscriptions
        credential = known.get(name)
        if credential is None:
            return
        path = f"/rest-apis/{api.handle}/api-keys/{name}" if what == "revoke" else f"/subscriptions/{credential.uuid}"
        status, _ = await self._manage("DELETE", path)
        credential.active = False
        if not status:
            del known[name]

    async def _write(self, api: OwnApi, version: int) -> None:
        annotations = {PROJECT_ANNOTATION: "default"}
        document = rest_api(
            api.handle,
            self.world.backend.port,
            base=f"/edition-{version}",
            policies=POLICIES[api.flavour],
            annotations=annotations,
        )
        status, _ = await self._manage("PUT", f"/rest-apis/{api.handle}", document)
        if status == 404:
            status, _ = await self._manage("POST", "/rest-apis", document)
        assert status in {0, 200, 201, 409}, status
        api.certain = status in {200, 201}
        api.version, api.exists = version, True

    async def _manage(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of the management API's answer; 0 when the controller was killed before it gave one."""
        assert self._management is not None
        try:
            response = await self._management.request(method, path, json=body)
        except httpx2.TransportError:
            return 0, None
        assert response.status_code < 500, response.text
        return response.status_code, json.loads(response.text) if response.text.startswith("{") else None

    # -- what the hub believes ----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Every deployment that turns to DEPLOYED must be served that very moment."""
        while True:
            with contextlib.suppress(HubClientError):
                async with self.world.client() as client:
                    async for change in client.watch():
                        view = change.deployment
                        if view is not None and view.status == "DEPLOYED" and view.origin == "control_plane":
                            check = asyncio.create_task(self._must_serve(view.artifact, view.deployment_id))
                            self._checks.add(check)
                            check.add_done_callback(self._checks.discard)
            await asyncio.sleep(0.1)

    async def _must_serve(self, handle: str, deployment_id: str) -> None:
        api = next((api for api in self.hub_apis if api.handle == handle), None)
        if api is None or not api.has_traffic:
            return
        place, deadline = None, time.monotonic() + _TOLD
        while (place := api.deployments.get(deployment_id)) is None:
            if time.monotonic() > deadline:
                return  # the hub was killed before it could answer
            await asyncio.sleep(0.01)
        deadline = time.monotonic() + (_RETURN if self.schedule.kills & {"controller", "router"} else _GRACE)
        while True:
            served = await ask(self.ports["http"], f"/{handle}/items")
            if served.fits(api.steps[place:], guarded=api.flavour != "open"):
                return
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.02)
        if not self.probe.is_excused:
            self.lies.append(
                f"{handle}: acknowledged as deployed (step {place} of {api.steps}), but Envoy answers {served}"
            )
