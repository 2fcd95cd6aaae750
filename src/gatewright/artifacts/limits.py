"""What a document may cost, and whether a plain value is within it.

Pure. The original has no limits; these are far above anything that people write.
"""

import msgspec

from gatewright.artifacts.plain import Plain


class Limits(msgspec.Struct, frozen=True):
    """Sizes in bytes (of the text, and of what its aliases expand to). Aliases count as often as they are used."""

    max_bytes: int = 10 * 1024 * 1024
    max_depth: int = 100
    max_nodes: int = 500_000
    max_documents: int = 1_000

    @property
    def too_deep(self) -> str:
        """Text of the refusal."""
        return f"document is nested deeper than {self.max_depth} levels"

    @property
    def too_many_nodes(self) -> str:
        """Text of the refusal."""
        return f"document has more than {self.max_nodes} nodes (aliases count as expanded)"

    @property
    def too_large(self) -> str:
        """Text of the refusal."""
        return f"document is larger than {self.max_bytes} bytes"


DEFAULT_LIMITS = Limits()


def excess(value: Plain, limits: Limits = DEFAULT_LIMITS) -> str | None:
    """Why a plain value is too deep or has too many nodes, or None. Does not recurse."""
    nodes = 0
    level = [value]
    for _ in range(limits.max_depth + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return None
        nodes += sum(map(len, containers))
        if nodes > limits.max_nodes:
            return limits.too_many_nodes
        level = [
            child
            for container in containers
            for child in (container.values() if isinstance(container, dict) else container)
        ]
    return limits.too_deep
