"""A list that suddenly shrinks is not believed at once. Pure."""


class Shrinkage:
    """Remembers large deletions until a second, equal answer confirms them.

    Large: more than `minimum`, and more than `share` of what is known.
    """

    def __init__(self, share: float, minimum: int) -> None:
        self._share = share
        self._minimum = minimum
        self._suspected: dict[str, frozenset[str]] = {}

    def believes(self, subject: str, known: int, doomed: frozenset[str]) -> bool:
        """Whether `doomed` of `known` may be deleted now. `subject` names the list."""
        is_large = len(doomed) > self._minimum and len(doomed) > self._share * known
        if not is_large or self._suspected.get(subject) == doomed:
            self._suspected.pop(subject, None)
            return True
        self._suspected[subject] = doomed
        return False
