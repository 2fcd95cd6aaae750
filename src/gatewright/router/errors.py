"""What can go wrong when a router starts, as errors with a stable code."""


class RouterError(Exception):
    """Base. `message` says what happened and what to do."""

    code = "ROUTER_ERROR"

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class UnusableBinary(RouterError):
    """There is no Envoy, or it does not run here."""

    code = "ENVOY_BINARY_UNUSABLE"


class PortTaken(RouterError):
    """A listener's port belongs to another process."""

    code = "PORT_IN_USE"


class StateDirectoryTaken(RouterError):
    """Another router uses the same state directory."""

    code = "STATE_DIRECTORY_IN_USE"


class StateDirectoryUnusable(RouterError):
    """The state or run directory cannot be written."""

    code = "STATE_DIRECTORY_UNUSABLE"
