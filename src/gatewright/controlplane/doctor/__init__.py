"""`gatewright doctor`: goes the way of the connection step by step and says in plain words what is wrong with it.

Probes touch the network and read PEM files; they change nothing at either end and never show the token. What they find
are plain values (`findings.py`). The rules that the link itself lives by (trust, discovery, WebSocket, REST, words)
are those of `gatewright.controlplane`.
"""

from gatewright.controlplane.doctor.examination import diagnose
from gatewright.controlplane.doctor.findings import Diagnosis, Finding, State, plain

__all__ = ["Diagnosis", "Finding", "State", "diagnose", "plain"]
