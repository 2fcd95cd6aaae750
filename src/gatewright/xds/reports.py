"""How a relay tells its controller what its Envoy made of resources, within delta ADS. Pure.

A report is a `DeltaDiscoveryRequest` of a type of our own whose `error_detail` carries one packed `Report`. Controllers
that do not know it ignore the type, as the protocol wants.
"""

from typing import Final

import msgspec
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from gatewright.xds.outcomes import Report

REPORT: Final = "type.gatewright.dev/xds.Report"
SYNCED: Final = "type.gatewright.dev/xds.Synced"
"""Type of the empty response that tells a relay that it has been sent everything once."""

OUTCOMES_PER_REPORT: Final = 2_000

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Report)


def report_request(report: Report) -> discovery_pb2.DeltaDiscoveryRequest:
    """The request that carries a report."""
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=REPORT)
    request.error_detail.details.append(any_pb2.Any(type_url=REPORT, value=_encoder.encode(report)))
    return request


def read_report(request: discovery_pb2.DeltaDiscoveryRequest) -> Report | None:
    """The report in a request; None when there is none that can be read."""
    for detail in request.error_detail.details:
        if detail.type_url == REPORT:
            try:
                return _decoder.decode(detail.value)
            except (msgspec.DecodeError, msgspec.ValidationError):
                return None
    return None
