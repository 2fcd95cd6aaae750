"""The gRPC server that Envoy's external processing filter calls, one stream for each request."""

import base64
import binascii
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import structlog
from envoy.config.core.v3 import base_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2, external_processor_pb2_grpc
from google.protobuf import struct_pb2

from gatewright.engine.chains import ReadyChain, UnusableChain, ready, run
from gatewright.engine.conditions import ConditionFailed
from gatewright.engine.credentials import Credentials
from gatewright.envoy.policies import CHAIN_METADATA, ENGINE_FILTER
from gatewright.policies.contract import Continue, Decision, RequestHeaders, Respond, Services

METADATA_LIMIT_BYTES = 1 << 20
STOP_GRACE_S = 1.0
_log = structlog.get_logger(__name__)


class Engine:
    """External processing of request headers. `credentials` is kept up to date by whoever owns the engine."""

    def __init__(self, socket: Path, *, api_key_issuer: str = "") -> None:
        self.credentials = Credentials()
        self._services = Services(credentials=self.credentials, api_key_issuer=api_key_issuer)
        self._socket = socket
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen on the Unix socket. A file left behind by a killed process is replaced."""
        self._socket.unlink(missing_ok=True)
        server = grpc.aio.server(options=[("grpc.max_metadata_size", METADATA_LIMIT_BYTES)])
        external_processor_pb2_grpc.add_ExternalProcessorServicer_to_server(self, server)
        server.add_insecure_port(f"unix:{self._socket}")
        self._server = server
        await server.start()
        self._socket.chmod(0o600)

    async def stop(self) -> None:
        """Finish what runs, for at most STOP_GRACE_S seconds."""
        if self._server is not None:
            await self._server.stop(STOP_GRACE_S)
            self._server = None
            self._socket.unlink(missing_ok=True)

    async def Process(  # noqa: N802 - the name of the gRPC method
        self,
        request_iterator: AsyncIterator[external_processor_pb2.ProcessingRequest],
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> AsyncIterator[external_processor_pb2.ProcessingResponse]:
        """Answer the headers of one request."""
        chain_text = _chain_text(context)
        async for message in request_iterator:
            if message.HasField("request_headers"):
                yield self._answer(chain_text, message.request_headers)
            else:
                yield external_processor_pb2.ProcessingResponse()

    def _answer(
        self, chain_text: bytes, headers: external_processor_pb2.HttpHeaders
    ) -> external_processor_pb2.ProcessingResponse:
        try:
            chain = ready(chain_text)
            return response_for(run(chain, _request(chain, headers), self._services))
        except (UnusableChain, ConditionFailed) as problem:
            return _internal_error(str(problem))
        except Exception:  # noqa: BLE001 - a fault of one policy must end one request, never the engine
            _log.exception("a policy failed")
            return _internal_error("")


def _chain_text(context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
    for key, value in context.invocation_metadata() or ():
        if key == CHAIN_METADATA:
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                return b""
    return b""


def _request(chain: ReadyChain, message: external_processor_pb2.HttpHeaders) -> RequestHeaders:
    method, path = "", ""
    headers: dict[str, list[str]] = {}
    for header in message.headers.headers:
        value = header.value or header.raw_value.decode("utf-8", "surrogateescape")
        if header.key == ":method":
            method = value
        elif header.key == ":path":
            path = value
        headers.setdefault(header.key, []).append(value)
    return RequestHeaders(api=chain.api, method=method, path=path, headers=headers)


def response_for(decision: Decision) -> external_processor_pb2.ProcessingResponse:
    """The message that makes Envoy do what a chain decided."""
    if isinstance(decision, Respond):
        return _immediate(decision)
    return _mutation(decision)


def _mutation(decision: Continue) -> external_processor_pb2.ProcessingResponse:
    response = external_processor_pb2.ProcessingResponse()
    mutation = response.request_headers.response.header_mutation
    mutation.remove_headers.extend(decision.remove_headers)
    for name, value in decision.set_headers.items():
        option = mutation.set_headers.add()
        option.header.CopyFrom(_header(name, value))
        option.append_action = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    if decision.metadata:
        values = struct_pb2.Struct()
        values.update(dict(decision.metadata))
        response.dynamic_metadata.fields[ENGINE_FILTER].struct_value.CopyFrom(values)
    return response


def _immediate(decision: Respond) -> external_processor_pb2.ProcessingResponse:
    response = external_processor_pb2.ProcessingResponse()
    immediate = response.immediate_response
    immediate.status.code = decision.status
    for name, value in decision.headers.items():
        immediate.headers.set_headers.add().header.CopyFrom(_header(name, value))
    immediate.body = decision.body
    immediate.details = "policy_response"
    return response


def _header(name: str, value: str) -> base_pb2.HeaderValue:
    return base_pb2.HeaderValue(key=name.lower(), raw_value=value.encode("utf-8", "surrogateescape"))


def _internal_error(reason: str) -> external_processor_pb2.ProcessingResponse:
    error_id = str(uuid.uuid4())
    if reason:
        _log.error("a request could not be decided", error_id=error_id, reason=reason)
    body = f'{{"error":"Internal Server Error","error_id":"{error_id}"}}'.encode()
    return _immediate(Respond(500, {"content-type": "application/json", "x-error-id": error_id}, body))
