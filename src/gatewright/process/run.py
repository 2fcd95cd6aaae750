"""The processes that people start: `up`, `controller`, `router`. Each returns an exit code."""

import sys

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

EXPECTED: tuple[type[Exception], ...] = (
    AuthenticationSettings,
    CannotBind,
    CertificateUnreadable,
    RouterError,
    StoreError,
    CannotListen,
    PermissionError,
)
_log = get_logger(__name__)


def up(loaded: Loaded) -> int:
    """Controller and router in one process."""
    settings = _begin(loaded)

    def parts() -> tuple[Controller, RouterPart]:
        controller = Controller(settings, announce=_announce, make_keys=_make_keys(loaded, by_default=True))
        local = RouterPart(settings, lambda: LocalSource(controller.snapshot, controller.routers))
        return controller, local

    return run(parts, "the gateway is up", expected=EXPECTED)


def controller(loaded: Loaded) -> int:
    """A controller alone."""
    settings = _begin(loaded)
    make_keys = _make_keys(loaded, by_default=False)
    return run(
        lambda: (Controller(settings, announce=_announce, make_keys=make_keys),),
        "the controller is up",
        expected=EXPECTED,
    )


def router(loaded: Loaded) -> int:
    """A router alone."""
    settings = _begin(loaded)
    return run(lambda: (RouterPart(settings, lambda: remote_source(settings)),), "the router is up", expected=EXPECTED)


def _begin(loaded: Loaded) -> Settings:
    logging = loaded.settings.controller.logging
    configure_logging("ctl", level=logging.level, log_format="json" if logging.format == "json" else "text")
    for warning in loaded.warnings:
        _log.warning(warning)
    return loaded.settings


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
