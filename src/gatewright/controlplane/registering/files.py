"""Credentials as a Kubernetes Secret or as an environment file, and the file that keeps them private.

The Secret has the names that the original's documentation prints; the environment file those of its configuration
files. Both are read by this gateway, whichever it is given.
"""

import errno
import os
import secrets
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import SecretStr

from gatewright.controlplane.registering.registration import Client, Gateway

Form = Literal["secret", "env"]

_PREFIX: Final = "APIP_GW_CONTROLLER_CONTROLPLANE_"
_NAMES: Final[dict[Form, tuple[str, str]]] = {
    "secret": (f"{_PREFIX}APIM__OAUTH2__CLIENT__ID", f"{_PREFIX}APIM__OAUTH2__CLIENT__SECRET"),
    "env": (f"{_PREFIX}APIM_OAUTH2_CLIENT_ID", f"{_PREFIX}APIM_OAUTH2_CLIENT_SECRET"),
}
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_PLAIN: Final = frozenset(string.ascii_letters + string.digits + "-._~:/@+,")


class Exists(Exception):
    """There is a file of that name already."""


def variables(form: Form, host: str, client: Client, gateway: Gateway | None) -> dict[str, SecretStr]:
    """Names and values for the environment of a controller."""
    client_id, client_secret = _NAMES[form]
    found = {client_id: SecretStr(client.client_id), client_secret: client.client_secret}
    if gateway is not None:
        found[f"{_PREFIX}HOST"] = SecretStr(host)
        found[f"{_PREFIX}GATEWAY_NAME"] = SecretStr(gateway.name)
        found[f"{_PREFIX}TOKEN"] = gateway.token
    return found


def manifest(values: Mapping[str, SecretStr], *, name: str, namespace: str = "") -> bytes:
    """A Kubernetes Secret, ready for `kubectl apply` and for `envFrom`."""
    metadata: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {})}
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": {name: value.get_secret_value() for name, value in values.items()},
    }
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=4096).encode()


def environment(values: Mapping[str, SecretStr]) -> bytes:
    """Lines for a shell, systemd and container engines alike. Raises ValueError for a value that no line can hold."""
    return "".join(f"{name}={_quoted(value.get_secret_value())}\n" for name, value in values.items()).encode()


def write_private(path: Path, content: bytes, *, overwrite: bool) -> None:
    """The whole file or none, mode 600. Raises Exists (unless `overwrite`) and OSError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            _put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """A link, unlike a rename, never takes the place of another file; not every file system has links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise Exists from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise Exists from None
        temporary.replace(path)


def _quoted(value: str) -> str:
    """Bare where that means the same everywhere; container engines take quotation marks literally."""
    if not value.isprintable():
        raise ValueError("a value has characters that no environment file can hold")
    return value if set(value) <= _PLAIN else "'" + value.replace("'", "'\\''") + "'"
