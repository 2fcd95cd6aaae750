"""What can be wrong with a document: values with a field path and a text, and the two exceptions that carry them.

    InvalidArtifact           the document was read, its content breaks rules: every problem at once
    └── MalformedDocument     the bytes cannot be read as a document of this kind: one problem, `message` says why
    └── TemplateError         an expression in the document cannot be rendered (templates.py)

Pure: imports nothing of the project.
"""

from collections.abc import Iterable
from itertools import islice

import msgspec

MAX_PROBLEMS = 1_000


class ValidationProblem(msgspec.Struct, frozen=True):
    """One broken rule. `field` is a path such as `spec.operations[2].path`, `message` the original's text."""

    field: str
    message: str


def listed(problems: Iterable[ValidationProblem]) -> tuple[ValidationProblem, ...]:
    """All problems, or the first MAX_PROBLEMS and a last one that says so: a hostile document can have millions."""
    found = tuple(islice(problems, MAX_PROBLEMS + 1))
    if len(found) <= MAX_PROBLEMS:
        return found
    return (*found[:-1], ValidationProblem("", f"only the first {MAX_PROBLEMS} problems are listed"))


class ArtifactWarning(msgspec.Struct, frozen=True):
    """Accepted, because the original accepts it, but surely not what the author wants. `code` is stable."""

    code: str
    field: str
    message: str


class InvalidArtifact(Exception):
    """The document is refused. `problems` holds every reason in the documented order; never empty."""

    def __init__(self, problems: tuple[ValidationProblem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" if p.field else p.message for p in problems))


class MalformedDocument(InvalidArtifact):
    """The bytes are not a document of the wanted kind. `message` is complete, without a per-endpoint prefix."""

    def __init__(self, message: str, field: str = "") -> None:
        self.message = message
        super().__init__((ValidationProblem(field=field, message=message),))
