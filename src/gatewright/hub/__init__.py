"""The embedded control plane: registers gateways, pushes APIs and keys to them, receives what they push.

A server of its own that shares only `wire/` with the gateway (and `settings`, `observability`), so that neither can
lean on the other's insides: a gateway of the original could connect to it, and the gateway talks to it as to any
other control plane. State is one SQLite file in the data directory. `server.Hub` runs it, `client.HubClient` is how
commands and the demo talk to it.
"""
