"""Scripts for Envoy's Lua filter: each is put together from a common beginning and a policy's own file."""

from functools import cache
from importlib.resources import files


@cache
def lua_source(package: str, name: str) -> str:
    """The file `name` beside a policy, with SHA-256 and trimming in front of it."""
    common = files(__package__).joinpath("sha256.lua").read_text(encoding="utf-8")
    return common + files(package).joinpath(name).read_text(encoding="utf-8")
