"""The gateway's own HTTP servers: the management API (9090) and the admin API with health and metrics (9092, 9091).

One module for each resource. Speaks the original's paths, bodies and error envelopes; everything it does goes through
`deployment/`. Source: management API reference.
"""
