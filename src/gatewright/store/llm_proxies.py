"""Which LLM provider an LLM proxy stands on. Functions on a connection, inside the caller's transaction."""

from sqlalchemy import Connection, and_, bindparam, select, update

from gatewright.store.tables import artifacts, llm_proxies

_BIND = (
    update(llm_proxies)
    .where(llm_proxies.c.gateway_id == bindparam("here"), llm_proxies.c.uuid == bindparam("proxy"))
    .values(provider_uuid=bindparam("provider"))
)
_RELEASE = (
    update(llm_proxies)
    .where(llm_proxies.c.gateway_id == bindparam("here"), llm_proxies.c.provider_uuid == bindparam("provider"))
    .values(provider_uuid=None)
    .returning(llm_proxies.c.uuid)
)
_USERS = (
    select(artifacts.c.handle)
    .join_from(
        llm_proxies,
        artifacts,
        and_(artifacts.c.gateway_id == llm_proxies.c.gateway_id, artifacts.c.uuid == llm_proxies.c.uuid),
    )
    .where(llm_proxies.c.gateway_id == bindparam("here"), llm_proxies.c.provider_uuid == bindparam("provider"))
    .order_by(artifacts.c.handle)
)


def bind(connection: Connection, gateway_id: str, uuid: str, provider_uuid: str) -> None:
    """The proxy `uuid` stands on this provider from now on."""
    connection.execute(_BIND, {"here": gateway_id, "proxy": uuid, "provider": provider_uuid})


def release(connection: Connection, gateway_id: str, provider_uuid: str) -> list[str]:
    """Take the proxies off a provider that goes; their UUIDs, for each must be bound to another one at once."""
    return list(connection.execute(_RELEASE, {"here": gateway_id, "provider": provider_uuid}).scalars())


def users(connection: Connection, gateway_id: str, provider_uuid: str) -> list[str]:
    """The handles of the proxies that stand on a provider."""
    return list(connection.execute(_USERS, {"here": gateway_id, "provider": provider_uuid}).scalars())
