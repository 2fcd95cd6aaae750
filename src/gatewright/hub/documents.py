"""What the hub needs to know of a document: who it is, and that it is one. Pure.

The complete check belongs to the gateway, whose acknowledgement says what it thinks of the document; here only what
would make the deployment pointless is refused, every reason at once.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml

from gatewright.hub.problems import ApiError, invalid
from gatewright.wire.kinds import ArtifactKind, kind_of

API_VERSION: Final = "gateway.api-platform.wso2.com/v1"

DEPLOYABLE: Final = (ArtifactKind.REST_API, ArtifactKind.LLM_PROVIDER, ArtifactKind.LLM_PROXY, ArtifactKind.MCP)

_TEXTS: Final = {ArtifactKind.REST_API: ("context",), ArtifactKind.LLM_PROVIDER: ("template",)}
_HANDLE = re.compile(r"[^\s/}\x00-\x1f\x7f]{1,255}")
_API_VERSION_LINE = re.compile(r"(\bapiVersion[\"']?\s*:\s*[\"']?gateway\.api-platform\.wso2\.com/v1)(?![a-z0-9])")


class Document(msgspec.Struct, frozen=True):
    """The identity of a document and its text as it came."""

    kind: ArtifactKind
    handle: str
    display_name: str
    version: str
    text: str


def read_tree(body: bytes) -> Any:  # noqa: ANN401 - any YAML or JSON value
    """Decode YAML or JSON. ApiError 400 that says where it stops being either."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ApiError(400, "MALFORMED_DOCUMENT", "The document is not UTF-8 text.") from None
    try:
        if text.lstrip().startswith("{"):
            return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        pass  # flow-style YAML looks like JSON, the YAML reader decides
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or "not readable"
        raise ApiError(400, "MALFORMED_DOCUMENT", f"The document is neither YAML nor JSON{where}: {what}.") from None
    except (ValueError, RecursionError, OverflowError):
        raise ApiError(400, "MALFORMED_DOCUMENT", "The document holds a value that cannot be read.") from None


def read_document(body: bytes) -> Document:
    """Read a RestApi, LlmProvider, LlmProxy or Mcp. ApiError 400 with every problem."""
    tree = read_tree(body)
    if not isinstance(tree, dict):
        raise ApiError(400, "MALFORMED_DOCUMENT", "The document must be a mapping with apiVersion, kind and spec.")
    kind = kind_of(str(tree.get("kind", "")))
    if kind not in DEPLOYABLE:
        raise invalid(f"kind: must be one of {', '.join(DEPLOYABLE)}")
    metadata, spec = _mapping(tree, "metadata"), _mapping(tree, "spec")
    problems = [*_metadata_problems(metadata), *_spec_problems(kind, spec)]
    if problems:
        raise invalid(*problems)
    return Document(
        kind=kind,
        handle=metadata["name"],
        display_name=spec["displayName"],
        version=spec["version"],
        text=body.decode("utf-8-sig"),
    )


def read_rest_api(body: bytes) -> Document:
    """Read a RestApi. ApiError 400 with every problem."""
    document = read_document(body)
    if document.kind is not ArtifactKind.REST_API:
        raise invalid("kind: only RestApi documents are meant here")
    return document


def provider_handles(text: str) -> frozenset[str]:
    """The providers that a stored LlmProxy refers to."""
    try:
        tree = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return frozenset()
    spec = _mapping(tree, "spec") if isinstance(tree, dict) else {}
    additional = spec.get("additionalProviders")
    entries = [spec.get("provider"), *(additional if isinstance(additional, list) else ())]
    return frozenset(str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry)


def for_gateway(text: str, *, alpha: bool) -> str:
    """The document as a gateway of an older release wants it: only the version of the schema's name differs."""
    return _API_VERSION_LINE.sub(r"\1alpha1", text, count=1) if alpha else text


def as_yaml(tree: object) -> str:
    """Write a document for people."""
    text: str = yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _mapping(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = tree.get(name)
    return value if isinstance(value, dict) else {}


def _metadata_problems(metadata: Mapping[str, Any]) -> list[str]:
    name = metadata.get("name")
    if isinstance(name, str) and _HANDLE.fullmatch(name):
        return []
    return ["metadata.name: must be a text of 1 to 255 characters without blanks, / and }"]


def _spec_problems(kind: ArtifactKind, spec: Mapping[str, Any]) -> list[str]:
    problems = [
        f"spec.{name}: must be a text that is not empty"
        for name in ("displayName", "version", *_TEXTS.get(kind, ()))
        if not isinstance(spec.get(name), str) or not spec[name]
    ]
    if kind is ArtifactKind.LLM_PROXY:
        provider = spec.get("provider")
        if not isinstance(provider, dict) or not isinstance(provider.get("id"), str) or not provider["id"]:
            problems.append("spec.provider: must be a mapping with the id of a provider")
    elif not isinstance(spec.get("upstream"), dict):
        problems.append("spec.upstream: must be a mapping")
    if kind is ArtifactKind.MCP and not (spec.get("context") or spec.get("vhost")):
        problems.append("spec.context: give a context, a vhost or both")
    if kind is ArtifactKind.REST_API:
        operations = spec.get("operations")
        if not isinstance(operations, list) or not operations:
            problems.append("spec.operations: must list at least one operation")
    return problems
