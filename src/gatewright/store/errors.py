"""What can go wrong with the store.

    StoreError                 code, message, advice
    ├── StoreInUse             another live process works on the same data directory
    ├── StoreUnavailable       the database cannot be read or written now (full disk, read-only, damaged, locked)
    ├── SchemaMismatch         the database was made by a newer Gatewright, or is not Gatewright's
    └── KeyFileError           an encryption key cannot be read, made or used

Every one names what to do. Pure.
"""


class StoreError(Exception):
    """Base. `code` is stable, `advice` says what the operator should do."""

    code = "STORE_ERROR"

    def __init__(self, message: str, advice: str = "") -> None:
        self.message = message
        self.advice = advice
        super().__init__(f"{message}. {advice}" if advice else message)


class StoreInUse(StoreError):
    """`pid` is None when the owner left no readable id behind."""

    code = "STORE_IN_USE"

    def __init__(self, message: str, advice: str, pid: int | None) -> None:
        self.pid = pid
        super().__init__(message, advice)


class StoreUnavailable(StoreError):
    """The statement was refused and nothing was changed. The next one is tried anew; no restart is needed."""

    code = "STORE_UNAVAILABLE"


class StoreClosed(StoreUnavailable):
    """The process is shutting down."""

    code = "STORE_CLOSED"


class SchemaMismatch(StoreError):
    """The tables are not those of this release and cannot be brought there."""

    code = "STORE_SCHEMA_MISMATCH"


class KeyFileError(StoreError):
    """Nothing was encrypted or decrypted."""

    code = "ENCRYPTION_KEY"
