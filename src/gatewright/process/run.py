"""The processes that people start: `up`, `controller`, `router`. Each returns an exit code."""

import logging
import sys
from collections.abc import Callable

from gatewright.controlplane.credentials import TokenProvider
from gatewright.deployment.immutable_artifacts import ArtifactsUnusable
from gatewright.management.ports import CannotBind
from gatewright.management.users import AuthenticationSettings
from gatewright.observability.logging import configure_logging, get_logger
from gatewright.process.controller import Controller
from gatewright.process.foreground import run
from gatewright.process.gateway import CertificateUnreadable
from gatewright.process.router import RouterPart, remote_source
from gatewright.router.errors import RouterError
from gatewright.settings import Loaded, Settings
from gatewright.store import StoreError
from gatewright.xds.local_source import LocalSource
from gatewright.xds.server import CannotListen
from gatewright.xds.tls import TlsUnusable

EXPECTED: tuple[type[Exception], ...] = (
    ArtifactsUnusable,
    AuthenticationSettings,
    CannotBind,
    CertificateUnreadable,
    RouterError,
    StoreError,
    CannotListen,
    TlsUnusable,
    PermissionError,
)
_LINK = "controller.controlplane"
_CREDENTIALS = (
    f"{_LINK}.token",
    f"{_LINK}.apim_oauth2_client_id",
    f"{_LINK}.apim_oauth2_client_secret",
    f"{_LINK}.apim_oauth2_username",
    f"{_LINK}.apim_oauth2_password",
)
_log = get_logger(__name__)


def up(loaded: Loaded, *, started: Callable[[], None], token: TokenProvider | None = None) -> int:
    """Controller and router in one process; `started` is called when both have.

    `token` gives the present registration token before each attempt to connect; by default that of the settings.
    """
    settings = _begin(loaded)
    _name_sources(loaded)

    def parts() -> tuple[Controller, RouterPart]:
        make_keys = _make_keys(loaded, by_default=True)
        controller = Controller(settings, announce=_announce, make_keys=make_keys, token=token)
        local = RouterPart(settings, lambda: LocalSource(controller.snapshot, controller.routers))
        return controller, local

    return run(
        parts,
        f"the gateway is up: traffic on {_traffic(settings)}; {_apis(settings)}",
        expected=EXPECTED,
        started=started,
    )


def controller(loaded: Loaded, *, started: Callable[[], None], token: TokenProvider | None = None) -> int:
    """A controller alone; `started` is called when it has. `token`: see `up`."""
    settings = _begin(loaded)
    _name_sources(loaded)
    make_keys = _make_keys(loaded, by_default=False)
    return run(
        lambda: (Controller(settings, announce=_announce, make_keys=make_keys, token=token),),
        f"the controller is up: {_apis(settings)}",
        expected=EXPECTED,
        started=started,
    )


def router(loaded: Loaded) -> int:
    """A router alone."""
    settings = _begin(loaded)

    def parts() -> tuple[RouterPart]:
        return (RouterPart(settings, lambda: remote_source(settings)),)

    return run(parts, "the router is up: traffic on the listeners of its controller", expected=EXPECTED)


def _begin(loaded: Loaded) -> Settings:
    wanted = loaded.settings.controller.logging
    configure_logging("gw", level=wanted.level, log_format="json" if wanted.format == "json" else "text")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for warning in loaded.warnings:
        _log.warning(warning)
    return loaded.settings


def _name_sources(loaded: Loaded) -> None:
    """Which file or variable gave each credential of the control plane: many spellings lead to the same key."""
    sources = loaded.sources
    told = [f"{path} from {sources[path]}" for path in _CREDENTIALS if sources.get(path, "default") != "default"]
    if told:
        _log.info("credentials of the control plane", sources=told)


def _make_keys(loaded: Loaded, *, by_default: bool) -> bool:
    wanted = loaded.settings.gatewright.generate_encryption_keys
    return by_default if wanted is None else wanted


def _announce(name: str, password: str) -> None:
    """The only time that a generated password is shown; past the log, which would mask it."""
    sys.stderr.write(
        f"\n  Administrator of the management API, shown once and not kept:\n"
        f"    user      {name}\n    password  {password}\n\n"
    )
    sys.stderr.flush()


def _traffic(settings: Settings) -> str:
    router, address = settings.router, settings.gatewright.bind.router
    plain = f"http://{address}:{router.listener_port}"
    return f"{plain} and https://{address}:{router.https_port}" if router.https_enabled else plain


def _apis(settings: Settings) -> str:
    bind, ports = settings.gatewright.bind, settings.controller
    management = f"management API on http://{bind.management}:{ports.server.api_port}"
    if not ports.admin_server.enabled:
        return management
    return f"{management}, admin API on http://{bind.admin}:{ports.admin_server.port}"
