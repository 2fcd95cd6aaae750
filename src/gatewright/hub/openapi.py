"""A RestApi out of an OpenAPI 3 document: paths become operations, the first server the upstream. Pure.

Only what routing needs is taken over; schemas stay where they are. Everything that cannot be taken over and would make
the API wrong is a problem, and all problems are told at once.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gatewright.hub.documents import API_VERSION
from gatewright.wire.kinds import PROJECT_ANNOTATION, ArtifactKind

KEY_HEADER: Final = "API-Key"
PROTECT_NEVER: Final = "never"
PROTECT_ALWAYS: Final = "always"
PROTECT_DECLARED: Final = "declared"

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_MAX_OPERATIONS: Final = 10_000
_NAME_CHARACTERS = re.compile(r"[^a-zA-Z0-9\-_. ]+")
_VARIABLE = re.compile(r"\{([^{}]+)\}")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to convert. Empty texts mean "take it from the document".

    `protect`: `never` asks for no key, `always` for one on every operation, `declared` where the document's `security`
    names a scheme of type apiKey. `key_header` is the header that then carries the key.
    """

    handle: str = ""
    context: str = ""
    upstream: str = ""
    project: str = ""
    protect: str = PROTECT_DECLARED
    key_header: str = KEY_HEADER


class Converted(msgspec.Struct, frozen=True):
    """A RestApi as data, and what was left out of it."""

    document: dict[str, Any]
    notes: tuple[str, ...] = ()


class OpenApiProblem(Exception):
    """The document cannot become a RestApi. `problems` holds every reason with its place."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def petstore() -> bytes:
    """The sample document that is shipped: a pet store."""
    return files("gatewright.hub").joinpath("samples", "petstore.yaml").read_bytes()


def convert(tree: object, options: Options) -> Converted:
    """Convert a decoded document. Raises OpenApiProblem."""
    return _Conversion(_checked_root(tree), options).result()


class _Conversion:
    """One conversion: collects problems and notes while it reads."""

    def __init__(self, root: Mapping[str, Any], options: Options) -> None:
        self._root = root
        self._options = options
        self._problems: list[str] = []
        self._notes: list[str] = []

    def result(self) -> Converted:
        info = _mapping(self._root.get("info"))
        title = _display_name(info.get("title"))
        version = _version(info.get("version"))
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "api"
        if not title:
            self._problems.append("info.title: is missing or has no letter or digit")
        if self._options.protect not in {PROTECT_NEVER, PROTECT_ALWAYS, PROTECT_DECLARED}:
            self._problems.append("protect: must be never, always or declared")
        metadata: dict[str, Any] = {"name": self._options.handle or f"{slug}-{version}"}
        if self._options.project:
            metadata["annotations"] = {PROJECT_ANNOTATION: self._options.project}
        everywhere = self._protected_everywhere()
        spec: dict[str, Any] = {
            "displayName": title,
            "version": version,
            "context": self._options.context or f"/{slug}/$version",
            "upstream": {"main": {"url": self._upstream()}},
        }
        if everywhere:
            spec["policies"] = [self._policy()]
        spec["operations"] = self._operations(by_operation=not everywhere)
        if self._problems:
            raise OpenApiProblem(tuple(self._problems))
        document = {
            "apiVersion": API_VERSION,
            "kind": ArtifactKind.REST_API.value,
            "metadata": metadata,
            "spec": spec,
        }
        return Converted(document, tuple(self._notes))

    def _upstream(self) -> str:
        if self._options.upstream:
            return self._options.upstream
        servers = self._root.get("servers")
        server = _mapping(servers[0]) if isinstance(servers, list) and servers else {}
        variables = _mapping(server.get("variables"))

        def default(match: re.Match[str]) -> str:
            return str(_mapping(variables.get(match[1])).get("default", match[0]))

        url = _VARIABLE.sub(default, str(server.get("url", "")))
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable:
            self._problems.append("servers[0].url: is no absolute http(s) URL; give an upstream")
        return url.rstrip("/")

    def _operations(self, *, by_operation: bool) -> list[dict[str, Any]]:
        operations: list[dict[str, Any]] = []
        for path, item in _mapping(self._root.get("paths")).items():
            where = f"paths.{path}"
            if not isinstance(path, str) or not path.startswith("/"):
                self._notes.append(f"{where}: left out, it does not begin with /")
                continue
            if path.count("{") != path.count("}"):
                self._problems.append(f"{where}: unbalanced braces")
                continue
            if isinstance(item, dict) and "$ref" in item:
                self._problems.append(f"{where}: references to other files are not followed; put the operations here")
            operations.extend(self._of_path(path, _mapping(item), by_operation=by_operation))
        if not operations and not self._problems:
            self._problems.append("paths: hold no operation")
        if len(operations) > _MAX_OPERATIONS:
            self._problems.append(f"paths: hold more than {_MAX_OPERATIONS} operations")
        return operations

    def _of_path(self, path: str, item: Mapping[str, Any], *, by_operation: bool) -> list[dict[str, Any]]:
        operations = []
        for method, details in item.items():
            if method == "trace":
                self._notes.append(f"paths.{path}.trace: left out, the gateway does not route TRACE")
            if method not in _METHODS:
                continue
            operation: dict[str, Any] = {"method": method.upper(), "path": path}
            if by_operation and self._declared(_mapping(details)):
                operation["policies"] = [self._policy()]
            operations.append(operation)
        return operations

    def _policy(self) -> dict[str, Any]:
        return {"name": "api-key-auth", "version": "v1", "params": {"key": self._options.key_header, "in": "header"}}

    def _protected_everywhere(self) -> bool:
        """True when every operation needs a key, so that one policy at the API says it."""
        if self._options.protect != PROTECT_DECLARED:
            return self._options.protect == PROTECT_ALWAYS
        operations = [
            _mapping(details)
            for item in _mapping(self._root.get("paths")).values()
            for method, details in _mapping(item).items()
            if method in _METHODS
        ]
        return bool(operations) and all(self._declared(operation) for operation in operations)

    def _declared(self, operation: Mapping[str, Any]) -> bool:
        """True when the operation, or else the document, asks for a scheme of type apiKey."""
        if self._options.protect != PROTECT_DECLARED:
            return False
        requirements = operation.get("security", self._root.get("security"))
        schemes = _mapping(_mapping(self._root.get("components")).get("securitySchemes"))
        if not isinstance(requirements, list) or {} in requirements:
            return False
        return any(
            _mapping(schemes.get(name)).get("type") == "apiKey"
            for requirement in requirements
            for name in _mapping(requirement)
        )


def _checked_root(tree: object) -> Mapping[str, Any]:
    if not isinstance(tree, dict):
        raise OpenApiProblem(("the document is not a mapping",))
    if "swagger" in tree:
        raise OpenApiProblem(("swagger: version 2 is not read; convert the document to OpenAPI 3 first",))
    if not str(tree.get("openapi", "")).startswith("3."):
        raise OpenApiProblem(("openapi: must be 3.x",))
    return tree


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _display_name(title: object) -> str:
    cleaned = _NAME_CHARACTERS.sub(" ", title if isinstance(title, str) else "")
    return re.sub(r" +", " ", cleaned).strip()[:100].strip()


def _version(version: object) -> str:
    """`v1.0` of `1.0.27-SNAPSHOT`: the form that every gateway accepts; `v1.0` when there is no number."""
    match = re.search(r"(\d{1,6})(?:\.(\d{1,6}))?", str(version))
    return f"v{int(match[1])}.{int(match[2] or 0)}" if match else "v1.0"
