"""What a hub refuses: at its start (HubStartError) and of a request (ApiError)."""


class HubStartError(Exception):
    """The hub cannot start. The text says what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class ApiError(Exception):
    """A request is refused: HTTP status, a stable code, a text for people, and details for each field if any."""

    def __init__(self, status: int, code: str, message: str, details: tuple[str, ...] = ()) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        super().__init__(message)


def not_found(what: str, name: str) -> ApiError:
    """404 for something that is addressed by name."""
    return ApiError(404, f"{what.upper().replace(' ', '_')}_NOT_FOUND", f"There is no {what} {name!r}.")


def invalid(*details: str) -> ApiError:
    """400 for input that breaks rules; every broken rule at once."""
    return ApiError(400, "VALIDATION_FAILED", "; ".join(details), details)
