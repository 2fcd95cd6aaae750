"""The type of plain values: what JSON can say.

`None`, `bool`, `int`, `float`, `str`, and `list` and `dict[str, …]` of the same. The alias is `Any` for the type
checker, because a recursive union would need a narrowing at each step without catching a single mistake.
"""

from typing import Any, TypeAlias

Plain: TypeAlias = Any
