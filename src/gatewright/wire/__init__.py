"""The control-plane protocol as data: what gateway and control plane say to each other, and nothing of how.

Events, acknowledgements, REST bodies, archives, paths and derived identifiers, each with a bounded decoder and an
encoder. Used by `controlplane/` (the gateway's end) and `hub/` (the control plane's end), so that both mean the same.
Pure: no sockets, no files, no clock of its own; may import only `settings` and `observability`, and imports neither.
"""
