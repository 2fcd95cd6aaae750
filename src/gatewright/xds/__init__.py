"""Delivery of resources to routers: delta ADS with what each router accepted or refused, resource by resource.

`snapshot.py` holds what should be served, `stream.py` is the protocol of one connection as a machine without I/O,
`server.py` its gRPC shell, `delivery.py` what every router made of it, `relay.py` the router's side with the last good
snapshot on disk (`disk.py`). Knows resources only by type, name, version and bytes; needs nothing above `envoy/`.
"""
