"""What a valid RestApi surely does not mean: accepted by the original, so accepted here, but told to the author.

Pure. Each warning has a stable code. Sources: data-plane reference, sections 3, 4, 8; our own checks.
"""

import re
from collections.abc import Iterator

from gatewright.artifacts.problems import ArtifactWarning
from gatewright.artifacts.restapi import Operation, RestApi
from gatewright.artifacts.upstreams import UpstreamDefinition
from gatewright.artifacts.urls import parse_url

_USUAL_CONTEXT = re.compile(r"/|/[A-Za-z0-9_\-./~]*")
_USUAL_HOST = re.compile(r"(?:\*|(?:\*\.)?[A-Za-z0-9.\-]+|[A-Za-z0-9.\-]+\*)(?::[0-9]+)?")
_PARAMETER = re.compile(r"\{[^{}/]+\}")


def restapi_warnings(api: RestApi) -> Iterator[ArtifactWarning]:
    """All warnings, in the order of the document."""
    if not _USUAL_CONTEXT.fullmatch(api.context):
        yield ArtifactWarning(
            "unusual-context", "spec.context", "the context holds characters that clients must percent-encode"
        )
    yield from _upstream_warnings(api)
    yield from _vhost_warnings(api)
    yield from _operation_warnings(api)
    if api.deployment_state not in {"", "deployed", "undeployed"}:
        yield ArtifactWarning(
            "unknown-deployment-state",
            "spec.deploymentState",
            f"'{api.deployment_state}' is taken as 'deployed'; write 'deployed' or 'undeployed'",
        )


def _upstream_warnings(api: RestApi) -> Iterator[ArtifactWarning]:
    for index, definition in enumerate(api.upstream_definitions):
        yield from _definition_warnings(definition, f"spec.upstreamDefinitions[{index}]")
    for slot, field in ((api.main, "spec.upstream.main"), (api.sandbox, "spec.upstream.sandbox")):
        if slot is None:
            continue
        if slot.url is not None:
            yield from _url_warnings(slot.url, f"{field}.url")
        if slot.host_rewrite not in {"auto", "manual"}:
            yield ArtifactWarning(
                "unknown-host-rewrite",
                f"{field}.hostRewrite",
                f"'{slot.host_rewrite}' is taken as 'auto'; write 'auto' or 'manual'",
            )


def _definition_warnings(definition: UpstreamDefinition, field: str) -> Iterator[ArtifactWarning]:
    schemes = set()
    for index, target in enumerate(definition.targets):
        schemes.add(parse_url(target.url).scheme)
        yield from _url_warnings(target.url, f"{field}.upstreams[{index}].url")
    if len(schemes) > 1:
        yield ArtifactWarning(
            "mixed-schemes", f"{field}.upstreams", "http and https targets in one definition cannot be deployed"
        )


def _url_warnings(text: str, field: str) -> Iterator[ArtifactWarning]:
    url = parse_url(text)
    if not url.host:
        yield ArtifactWarning("upstream-without-host", field, "the URL names a port but no host")
    if url.port is not None and not 0 < url.port < 2**16:
        yield ArtifactWarning("upstream-port-range", field, "the port must be between 1 and 65535")
    if url.query or url.fragment:
        yield ArtifactWarning("upstream-query-ignored", field, "query and fragment of the URL are not used")
    if url.has_user:
        yield ArtifactWarning("upstream-user-ignored", field, "user name and password in the URL are not used")


def _vhost_warnings(api: RestApi) -> Iterator[ArtifactWarning]:
    for name in api.vhosts.main:
        if not _USUAL_HOST.fullmatch(name):
            yield ArtifactWarning("unusual-vhost", "spec.vhosts.main", f"'{name}' is not a host name")
    if api.sandbox is None or api.vhosts.sandbox is None:
        return
    if not _USUAL_HOST.fullmatch(api.vhosts.sandbox):
        yield ArtifactWarning("unusual-vhost", "spec.vhosts.sandbox", f"'{api.vhosts.sandbox}' is not a host name")
    if api.vhosts.sandbox in api.vhosts.main:
        yield ArtifactWarning(
            "sandbox-vhost-collides",
            "spec.vhosts.sandbox",
            f"'{api.vhosts.sandbox}' is also a main host, so that sandbox and main cannot be told apart",
        )


def _operation_warnings(api: RestApi) -> Iterator[ArtifactWarning]:
    seen: dict[object, int] = {}
    for operation in api.operations:
        headers = frozenset((h.name.strip().lower(), h.type, h.value) for h in operation.headers)
        key = (operation.method.upper(), operation.path, headers)
        first = seen.setdefault(key, operation.index)
        if first != operation.index:
            yield ArtifactWarning(
                "duplicate-operation",
                operation.field,
                f"same method, path and headers as spec.operations[{first}]; only one of them can serve",
            )
        yield from _one_operation_warnings(operation)


def _one_operation_warnings(operation: Operation) -> Iterator[ArtifactWarning]:
    form = ".match" if operation.match_type is not None else ""
    path_field = operation.field + (".match.path.value" if form else ".path")
    if operation.method != operation.method.upper():
        yield ArtifactWarning(
            "lower-case-method",
            f"{operation.field}{form}.method",
            f"HTTP methods are upper case; write {operation.method.upper()}",
        )
    if operation.path.endswith("/*") and "{" in operation.path:
        yield ArtifactWarning(
            "literal-braces", path_field, "braces in a path that ends with /* are taken literally, not as parameters"
        )
    elif "{" in _PARAMETER.sub("", operation.path) or "}" in _PARAMETER.sub("", operation.path):
        yield ArtifactWarning("unusual-braces", path_field, "braces that do not enclose a parameter name")
    if operation.match_type not in {None, "Exact", "PathPrefix"}:
        yield ArtifactWarning(
            "unknown-path-type",
            f"{operation.field}.match.path.type",
            f"'{operation.match_type}' is not known; write Exact or PathPrefix",
        )
    for index, header in enumerate(operation.headers):
        yield from _header_warnings(header.name, header.type, f"{operation.field}.match.headers[{index}]")


def _header_warnings(name: str, match_type: str, field: str) -> Iterator[ArtifactWarning]:
    if not name.strip():
        yield ArtifactWarning("header-without-name", f"{field}.name", "a header condition needs a name")
    if match_type not in {"Exact", "RegularExpression"}:
        yield ArtifactWarning(
            "unknown-header-type",
            f"{field}.type",
            f"'{match_type}' is taken as 'Exact'; write Exact or RegularExpression",
        )
