"""From the settings to who may use the management and admin API. They never run open.

Source: management API reference, 3.1. Where neither users nor an identity provider are configured, the process makes
an administrator and passes it in.
"""

from collections.abc import Sequence

from gatewright.management.identity import Authenticator, BasicAuthenticator, Identified, NoCredentials, User
from gatewright.settings.tree import Settings

BEARER = "Bearer "


class AuthenticationSettings(ValueError):
    """The settings cannot be used. The text names every key and says what to do."""


class EitherAuthenticator:
    """Basic or bearer, by the scheme of the header."""

    def __init__(self, basic: Authenticator, bearer: Authenticator) -> None:
        self._basic = basic
        self._bearer = bearer

    async def identify(self, authorization: str) -> Identified:
        """See Authenticator."""
        return await (self._bearer if authorization.startswith(BEARER) else self._basic).identify(authorization)


class _Nobody:
    """No basic authentication: nothing in the header counts."""

    async def identify(self, authorization: str) -> Identified:
        del authorization
        return NoCredentials()


def configured_users(settings: Settings) -> Sequence[User]:
    """The users of `controller.auth.basic.users`, when basic authentication is on. Raises AuthenticationSettings."""
    basic = settings.controller.auth.basic
    if not basic.enabled:
        return ()
    for index, user in enumerate(basic.users):
        if not user.username.strip() or not user.password.get_secret_value().strip():
            raise AuthenticationSettings(f"controller.auth.basic.users[{index}] needs a username and a password")
    return tuple(
        User(name=user.username, password=user.password, hashed=user.password_hashed, roles=frozenset(user.roles))
        for user in basic.users
    )


def needs_administrator(settings: Settings) -> bool:
    """Whether nobody could sign in with these settings. Raises AuthenticationSettings."""
    return not configured_users(settings) and not settings.controller.auth.idp.enabled


def authenticator_of(settings: Settings, generated: User | None = None) -> Authenticator:
    """The authenticator that the settings describe; `generated` is for those that describe none.

    Raises AuthenticationSettings.
    """
    users = configured_users(settings)
    bearer = _bearer(settings)
    if not users and bearer is None:
        if generated is None:
            raise AuthenticationSettings(
                "nobody could use the management API: add a user to controller.auth.basic.users,"
                " or enable controller.auth.idp"
            )
        users = (generated,)
    basic = BasicAuthenticator(users) if users else _Nobody()
    return basic if bearer is None else EitherAuthenticator(basic, bearer)


def _bearer(settings: Settings) -> Authenticator | None:
    idp = settings.controller.auth.idp
    if not idp.enabled:
        return None
    missing = [name for name in ("jwks_url", "issuer", "roles_claim") if not str(getattr(idp, name)).strip()]
    if missing:
        keys = ", ".join(f"controller.auth.idp.{name}" for name in missing)
        raise AuthenticationSettings(f"controller.auth.idp.enabled needs {keys}: set it, or switch the key off")
    mapping = {role: tuple(values) for role, values in idp.role_mapping.items()}
    wild = sorted(role for role, values in mapping.items() if "*" in values)
    if len(wild) > 1:
        raise AuthenticationSettings(
            f"controller.auth.idp.role_mapping: '*' is mapped to {', '.join(wild)}; keep it for one role only"
        )
    # Late: most gateways need no tokens here, and the library costs a tenth of a second of their start.
    from gatewright.management.bearer import BearerAuthenticator, Provider  # noqa: PLC0415 - see above

    provider = Provider(
        jwks_url=idp.jwks_url,
        issuer=idp.issuer,
        roles_claim=idp.roles_claim,
        audience=frozenset(idp.audience),
        role_mapping=mapping,
    )
    return BearerAuthenticator(provider)
