"""Makes the benchmark importable: it stands at the top of the repository and is no part of the installed package."""

import sys
from pathlib import Path

_REPOSITORY = str(Path(__file__).parents[2])
if _REPOSITORY not in sys.path:
    sys.path.append(_REPOSITORY)
