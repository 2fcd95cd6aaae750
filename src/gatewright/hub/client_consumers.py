"""Calls of the hub's client for plans, subscriptions, applications and secrets."""

from collections.abc import Iterable

from gatewright.hub.client_transport import Transport, segment
from gatewright.hub.views import ApplicationView, IssuedSubscription, PlanView, SecretView, SubscriptionView


class ConsumerCalls(Transport):
    """Plans, subscriptions, applications and secrets of one hub."""

    async def plans(self) -> list[PlanView]:
        """All plans by handle."""
        return await self.get_list("/plans", PlanView)

    async def plan(self, ref: str) -> PlanView:
        """One plan."""
        return await self.get_one(f"/plans/{segment(ref)}", PlanView)

    async def create_plan(self, name: str, **members: object) -> PlanView:
        """A new plan; further members of its body in camelCase."""
        return await self.send("POST", "/plans", PlanView, body={"planName": name, **members})

    async def change_plan(self, ref: str, name: str, **members: object) -> PlanView:
        """Replace a plan; members that are not given get their defaults."""
        return await self.send("PUT", f"/plans/{segment(ref)}", PlanView, body={"planName": name, **members})

    async def delete_plan(self, ref: str) -> None:
        """Delete a plan; 409 while subscriptions have it."""
        await self.request("DELETE", f"/plans/{segment(ref)}")

    async def subscriptions(self, api: str = "") -> list[SubscriptionView]:
        """Subscriptions of one API or of all."""
        return await self.get_list("/subscriptions", SubscriptionView, [("api", api)])

    async def create_subscription(
        self, api: str, *, plan: str = "", application: str = "", **members: object
    ) -> IssuedSubscription:
        """A new subscription; the answer is the only place where people see its token."""
        body = {"api": api, "plan": plan, "application": application, **members}
        return await self.send("POST", "/subscriptions", IssuedSubscription, body=body)

    async def change_subscription(self, subscription_id: str, **members: object) -> SubscriptionView:
        """Change `plan`, `application`, `status` or `token`; an empty plan or application clears it."""
        return await self.send("PATCH", f"/subscriptions/{segment(subscription_id)}", SubscriptionView, body=members)

    async def delete_subscription(self, subscription_id: str) -> None:
        """End a subscription."""
        await self.request("DELETE", f"/subscriptions/{segment(subscription_id)}")

    async def applications(self) -> list[ApplicationView]:
        """All applications by handle."""
        return await self.get_list("/applications", ApplicationView)

    async def application(self, ref: str) -> ApplicationView:
        """One application with its keys."""
        return await self.get_one(f"/applications/{segment(ref)}", ApplicationView)

    async def create_application(
        self, name: str, *, handle: str = "", kind: str = "web", keys: Iterable[str] = ()
    ) -> ApplicationView:
        """A new application with API keys, by their UUIDs."""
        body = {"id": handle, "name": name, "type": kind, "keys": list(keys)}
        return await self.send("POST", "/applications", ApplicationView, body=body)

    async def change_application(
        self, ref: str, name: str, *, kind: str = "web", keys: Iterable[str] = ()
    ) -> ApplicationView:
        """Replace an application with its keys."""
        body = {"name": name, "type": kind, "keys": list(keys)}
        return await self.send("PUT", f"/applications/{segment(ref)}", ApplicationView, body=body)

    async def delete_application(self, ref: str) -> None:
        """Delete an application; 409 while subscriptions name it."""
        await self.request("DELETE", f"/applications/{segment(ref)}")

    async def secrets(self) -> list[SecretView]:
        """All secrets by handle, without values."""
        return await self.get_list("/secrets", SecretView)

    async def create_secret(self, handle: str, value: str, *, name: str = "") -> SecretView:
        """A new secret."""
        return await self.send("POST", "/secrets", SecretView, body={"id": handle, "value": value, "name": name})

    async def change_secret(self, handle: str, value: str, *, name: str = "") -> SecretView:
        """A new value for a secret."""
        return await self.send("PUT", f"/secrets/{segment(handle)}", SecretView, body={"value": value, "name": name})

    async def modify_secret(self, handle: str, **members: object) -> SecretView:
        """Change `value`, `name`, `type` or `status` (ACTIVE, DEPRECATED) of a secret."""
        return await self.send("PATCH", f"/secrets/{segment(handle)}", SecretView, body=members)

    async def delete_secret(self, handle: str) -> None:
        """Delete a secret; 409 while a deployed document refers to it."""
        await self.request("DELETE", f"/secrets/{segment(handle)}")
