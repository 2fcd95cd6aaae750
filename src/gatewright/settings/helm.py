"""Settings from Helm values, as the chart of the original would have rendered them.

Only what ends up in the configuration is looked at: `gateway.config.*`, `gateway.config_toml`, and of
`gateway.controller` the control plane, the metrics and literal environment variables. Everything else in the
values concerns Kubernetes. Pure.
"""

from collections.abc import Mapping
from typing import Any

from gatewright.settings.documents import Document
from gatewright.settings.environment import has_port
from gatewright.settings.loading import Layers, Loaded, settle
from gatewright.settings.problems import Problem
from gatewright.settings.reading import parse_toml
from gatewright.settings.resolving import HOST

_CONTROL_PLANE = "gateway.controller.controlPlane"


def load_values(values: Mapping[str, Any], environ: Mapping[str, str], *, strict: bool = False) -> Loaded:
    """The settings that parsed Helm `values` give in a pod whose environment is `environ`.

    `environ` is what the pod gets from Secrets (`token.secretName`, `deployment.extraEnvFrom`); literal entries
    of `deployment.extraEnv` are added here. Raises SettingsError.
    """
    gateway = _table(values, "gateway")
    layers = Layers()
    config = _table(gateway, "config")
    layers.add(config, "values: gateway.config")
    _relabel(layers.document)
    controller = _table(gateway, "controller")
    _metrics(layers.document, _table(controller, "metrics"))
    _control_plane(layers.document, _table(controller, "controlPlane"))
    raw = gateway.get("config_toml")
    if isinstance(raw, str) and raw.strip():
        table = parse_toml(raw.encode(), "values: gateway.config_toml")
        if isinstance(table, Problem):
            layers.problems.append(table)
        else:
            layers.add(table, "values: gateway.config_toml")
    literal = _literal_environment(_table(controller, "deployment"))
    return settle(layers, {**environ, **literal}, strict=strict)


def _relabel(document: Document) -> None:
    """Name the exact place in the values, not only the file."""
    document.sources = {path: f"values: gateway.config.{path}" for path in document.sources}


def _metrics(document: Document, metrics: Mapping[str, Any]) -> None:
    for name in ("enabled", "port"):
        if metrics.get(name) is not None:
            document.put(
                f"controller.metrics.{name}",
                metrics[name],
                f"values: gateway.controller.metrics.{name}",
            )


def _control_plane(document: Document, control_plane: Mapping[str, Any]) -> None:
    host, port = control_plane.get("host"), control_plane.get("port")
    if isinstance(host, str) and host.strip():
        host, source = host.strip(), f"values: {_CONTROL_PLANE}.host"
        if port not in (None, "") and not has_port(host) and "://" not in host:
            host, source = f"{host}:{port}", f"{source} and port"
        document.put(HOST, host, source)
    value = _table(control_plane, "token").get("value")
    if isinstance(value, str) and value and not _table(control_plane, "token").get("secretName"):
        document.put("controller.controlplane.token", value, f"values: {_CONTROL_PLANE}.token.value")


def _literal_environment(deployment: Mapping[str, Any]) -> dict[str, str]:
    entries = deployment.get("extraEnv")
    found: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str) and entry.get("value") is not None:
            found[entry["name"]] = str(entry["value"])
    return found


def _table(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, Mapping) else {}
