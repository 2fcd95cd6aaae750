"""What an examination finds, as plain values. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from gatewright.controlplane.problems import Problem
from gatewright.observability.redaction import mask_secrets

State = Literal["ok", "warning", "failed", "skipped"]

Step = Literal[
    "configuration",
    "proxy",
    "name",
    "tcp",
    "tls",
    "clock",
    "well-known",
    "upgrade",
    "ack",
    "rest",
    "oauth",
    "gateway-name",
]
STEPS: tuple[Step, ...] = get_args(Step)
"""In the order in which they are looked at."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One step. `seen` is what was observed, `wrong` what that means, `change` what to do.

    `code` is one of docs/errors.md and set only when something is wrong. `facts` hold the same for programs.
    """

    step: Step
    state: State
    seen: str
    wrong: str = ""
    change: str = ""
    code: str = ""
    milliseconds: float = 0.0
    facts: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All steps, in order."""

    host: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed; warnings and skipped steps do not count."""
        return all(finding.state != "failed" for finding in self.findings)

    def of(self, step: Step) -> Finding:
        """The finding of one step. Raises StopIteration for a step that was not looked at."""
        return next(finding for finding in self.findings if finding.step == step)


def good(step: Step, seen: str, **facts: object) -> Finding:
    """Nothing wrong."""
    return Finding(step=step, state="ok", seen=seen, facts=facts)


def doubtful(step: Step, seen: str, wrong: str, change: str, **facts: object) -> Finding:
    """It works, but somebody should know."""
    return Finding(step=step, state="warning", seen=seen, wrong=wrong, change=change, facts=facts)


def failed(step: Step, seen: str, problem: Problem, **facts: object) -> Finding:
    """It does not work."""
    return Finding(
        step=step,
        state="failed",
        seen=seen,
        wrong=problem.message,
        change=problem.advice,
        code=problem.code,
        facts=facts,
    )


def skipped(step: Step, reason: str) -> Finding:
    """Not looked at."""
    return Finding(step=step, state="skipped", seen=reason)


def plain(diagnosis: Diagnosis) -> dict[str, Any]:
    """Ready for JSON, without any registered secret."""
    tree: dict[str, Any] = _masked(msgspec.to_builtins(diagnosis))
    return {"host": tree["host"], "ok": diagnosis.ok, "findings": [_shown(each) for each in tree["findings"]]}


def _shown(finding: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in finding.items() if value not in ("", {})}


def _masked(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return mask_secrets(value)
    if isinstance(value, dict):
        return {name: _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value
