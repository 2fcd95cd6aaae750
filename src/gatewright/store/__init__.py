"""Tables, transactions, migrations, encryption at rest. Knows SQL; knows no HTTP, Envoy or control plane.

`open_store` gives a `Store`: transactions run as plain functions on a SQLAlchemy connection, in a thread of the store.
The functions that read and write rows are in `artifacts.py`, `api_keys.py`, `changes.py`, `outbox.py`, `meta.py`; only
`gatewright.deployment` calls those that write artifacts and keys. What only SQLite or only PostgreSQL needs is in
`sqlite.py` and `postgres*.py`; `backend.py` says what a database must be able to do.
"""

from gatewright.store.database import Store, open_store
from gatewright.store.errors import StoreClosed, StoreError, StoreInUse, StoreUnavailable

__all__ = ["Store", "StoreClosed", "StoreError", "StoreInUse", "StoreUnavailable", "open_store"]
