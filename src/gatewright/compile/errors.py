"""Why an artifact cannot be compiled."""


class CompileError(Exception):
    """One artifact is refused; all others are unaffected.

    `code` is stable, `message` says what is wrong, `field` is a path such as `spec.operations[2].path`, `advice` says
    what to do.
    """

    def __init__(self, code: str, message: str, field: str, advice: str) -> None:
        self.code = code
        self.message = message
        self.field = field
        self.advice = advice
        super().__init__(f"{field}: {message}. {advice}")
