"""The link to a control plane: one WebSocket, the REST calls beside it, reconciling, and the push of what is made here.

`link.py` is the logic of the connection as a machine without I/O; `connection.py` the shell that does it. What arrives
goes through `dispatch.py` (queues, batches) to `handlers/`, one module per event family; `sync/` reconciles, one module
per list; `push/` sends artifacts made here. Everything is stored through `deployment/`; nothing here writes the
database or knows Envoy. May import `deployment`, `artifacts`, `wire`, `settings`, `observability`, and the types of
stored rows. `plane.ControlPlane` is the entry.
"""
