"""`gatewright` as people type it, with the fixed times of the protocol cut short, so that a test can see them pass.

Run as a script. Everything else is the product: the same code, the same rules, another number of seconds.
"""

import sys

import msgspec

from gatewright.wire import paths

for name, seconds in {
    "DISCOVERY_TIMEOUT": 2.0,
    "HANDSHAKE_TIMEOUT": 3.0,
    "ACK_TIMEOUT": 3.0,
    "HEARTBEAT_TIMEOUT": 4.0,
    "REST_TIMEOUT": 5.0,
}.items():
    setattr(paths, name, seconds)

if sys.argv[1:2] == ["hub"]:
    from gatewright.cli import hub_process

    run = hub_process.run
    hub_process.run = lambda config: run(
        msgspec.structs.replace(config, ping_interval=0.5, connection_timeout=2.5, connects_per_minute=100_000)
    )

from gatewright.cli.main import main  # noqa: E402 - after the times are set

main()
