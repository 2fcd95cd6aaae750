"""The order of the steps, and what is not looked at after a failure. Every step is bounded in time."""

import ssl
import time
import urllib.request
from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec

from gatewright.controlplane.config import LinkConfig, link_config
from gatewright.controlplane.credentials import Credentials
from gatewright.controlplane.doctor import setup
from gatewright.controlplane.doctor.certificate import Way, tls_probe
from gatewright.controlplane.doctor.conversation import (
    ack_probe,
    clock_probe,
    rest_probe,
    upgrade_probe,
    well_known_probe,
)
from gatewright.controlplane.doctor.findings import STEPS, Diagnosis, Finding, Step, failed, skipped
from gatewright.controlplane.doctor.oauth import oauth_probe
from gatewright.controlplane.doctor.reaching import name_probe, tcp_probe
from gatewright.controlplane.doctor.route import Address, Proxies, address_of, proxies_of
from gatewright.controlplane.rest import Rest
from gatewright.controlplane.trust import TlsUnusable, Trust
from gatewright.deployment.ids import Clock, utc_now
from gatewright.settings.tree import Settings

REST_TIMEOUT: Final = 10.0
_T = TypeVar("_T")
_ONE_CONNECTION: Final = (
    "an API Manager keeps one connection per gateway and hands waiting events to it: a second one would take them from "
    "a gateway that runs. The REST step shows whether the token is accepted; --interrupt looks all the same"
)


async def diagnose(settings: Settings, *, clock: Clock = utc_now, interrupt: bool = False) -> Diagnosis:
    """Examine the connection that `settings` describe. `interrupt`: open the WebSocket of an API Manager too."""
    examination = _Examination(settings, clock, interrupt=interrupt)
    try:
        await examination.run()
    finally:
        await examination.rest.close()
    return examination.diagnosis()


class _Blocked(Exception):
    """A step failed that the rest stands on."""


class _Examination:
    def __init__(self, settings: Settings, clock: Clock, *, interrupt: bool) -> None:
        self._settings = settings
        self._config: LinkConfig = link_config(settings)
        self._clock = clock
        self._interrupt = interrupt
        self._findings: dict[Step, Finding] = {}
        self._credentials = Credentials(lambda: settings.controller.controlplane.token)
        self.rest = Rest(self._config.host, self._credentials, timeout=REST_TIMEOUT)

    def diagnosis(self) -> Diagnosis:
        """What was found; steps that were not reached are skipped for the sake of the last failure."""
        broken = [step for step, finding in self._findings.items() if finding.state == "failed"]
        reason = f"because the step {broken[-1]} failed" if broken else "not reached"
        findings = (self._findings.get(step) or skipped(step, reason) for step in STEPS)
        return Diagnosis(host=self._config.host, findings=tuple(findings))

    async def run(self) -> None:
        """All steps that can be taken."""
        await self._credentials.read()
        configured = setup.configuration(self._config, self._credentials)
        self._note(configured)
        target = address_of(self._config.host)
        if target is None:
            return
        try:
            path, context = await self._reach(target)
        except _Blocked:
            return
        if configured.state == "ok":
            gateway_id = await self._talk(path, context)
            self._note(await self._timed(oauth_probe(self._settings, self._config, on_prem=bool(path))))
            self._note(setup.gateway_name(self._settings, on_prem=bool(path), gateway_id=gateway_id))

    # -- the way there -------------------------------------------------------------------------------------------------

    async def _reach(self, target: Address) -> tuple[str, ssl.SSLContext]:
        proxies = proxies_of(
            urllib.request.getproxies(), bypassed=bool(urllib.request.proxy_bypass(f"{target.host}:{target.port}"))
        )
        self._must(setup.proxy(proxies))
        way = await self._connect(target, proxies)
        context = await self._trust(way, target, proxies)
        self._must(await self._timed(clock_probe(self._config.host, context, self._clock)))
        await self.rest.use_tls(context)
        finding, path = await self._timed_pair(well_known_probe(self.rest))
        self._must(finding)
        return path or "", context

    async def _connect(self, target: Address, proxies: Proxies) -> str:
        near = proxies.socket.address if proxies.socket is not None else target
        finding, addresses = await self._timed_pair(name_probe(near))
        self._must(finding)
        finding, address = await self._timed_pair(tcp_probe(near, addresses))
        self._must(finding)
        return address

    async def _trust(self, address: str, target: Address, proxies: Proxies) -> ssl.SSLContext:
        config, proxy = self._config, proxies.socket
        try:
            context = Trust(config).context()
            checking = Trust(msgspec.structs.replace(config, verify=True)).context()
        except TlsUnusable as unusable:
            self._must(failed("tls", "no TLS connection was tried", unusable.problem))
            raise
        if proxy is not None and proxy.scheme != "http":
            self._note(skipped("tls", f"not looked at through a proxy of the kind {proxy.scheme}"))
            return context
        way = Way(address, (proxy.address if proxy is not None else target).port, target, proxy)
        probe = tls_probe(way, context, checking, self._clock(), verified=config.verify)
        self._must(await self._timed(probe))
        return context

    # -- the conversation ----------------------------------------------------------------------------------------------

    async def _talk(self, path: str, context: ssl.SSLContext) -> str:
        """The gateway's id at the control plane, empty when it was not told."""
        gateway_id = ""
        if path and not self._interrupt:
            self._note(skipped("upgrade", _ONE_CONNECTION))
            self._note(skipped("ack", "without an upgrade there is nothing to acknowledge"))
        else:
            finding, opened = await self._timed_pair(upgrade_probe(self._config.host, path, self._credentials, context))
            self._note(finding)
            if opened is None:
                self._note(skipped("ack", "without an upgrade there is nothing to acknowledge"))
            else:
                finding, ack = await self._timed_pair(ack_probe(opened))
                self._note(finding)
                gateway_id = ack.gateway_id if ack is not None else ""
        self.rest.use_path(path)
        self._note(await self._timed(rest_probe(self.rest, on_prem=bool(path))))
        return gateway_id

    # -- inside --------------------------------------------------------------------------------------------------------

    def _note(self, finding: Finding) -> None:
        self._findings[finding.step] = finding

    def _must(self, finding: Finding) -> None:
        self._note(finding)
        if finding.state == "failed":
            raise _Blocked

    async def _timed(self, probe: Awaitable[Finding]) -> Finding:
        started = time.monotonic()
        return _took(await probe, started)

    async def _timed_pair(self, probe: Awaitable[tuple[Finding, _T]]) -> tuple[Finding, _T]:
        started = time.monotonic()
        finding, value = await probe
        return _took(finding, started), value


def _took(finding: Finding, started: float) -> Finding:
    return msgspec.structs.replace(finding, milliseconds=round((time.monotonic() - started) * 1000, 1))
