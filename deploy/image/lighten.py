"""Makes an environment of Python packages smaller, without taking anything away that runs.

Bytecode of what the program imports, instead of everything that is installed; no symbols for debuggers in extension
modules. Only the standard library: it runs inside the image build.
"""

import argparse
import importlib
import pkgutil
import py_compile
import struct
import sys
from collections.abc import Container
from pathlib import Path

UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH
HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
"""Of a 64-bit little-endian ELF file, behind its magic number."""
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Make this Python environment smaller.")
    parser.add_argument("package", help="the program's package: all of it is imported, and what it imports compiled")
    parser.add_argument("later", nargs="*", help="further modules, which are imported only when they are needed")
    parser.add_argument(
        "--apart", action="append", default=[], help="module of the package that runs only in another program"
    )
    arguments = parser.parse_args()
    sys.dont_write_bytecode = True
    import_all(arguments.package, arguments.apart)
    for name in arguments.later:
        importlib.import_module(name)
    compile_imported()
    for path in Path(sys.prefix).rglob("*.so*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            path.write_bytes(without_symbols(content))


def import_all(name: str, apart: Container[str] = ()) -> None:
    """Import a package with all its modules, except those `apart`."""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.endswith(".__main__") and module.name not in apart:
            importlib.import_module(module.name)


def compile_imported() -> None:
    """Leave bytecode of all that has been imported. It holds whatever the time of its source: images do not change."""
    for module in list(sys.modules.values()):
        source, compiled = getattr(module, "__file__", None), getattr(module, "__cached__", None)
        if source and compiled and Path(source).suffix == ".py":
            py_compile.compile(source, compiled, doraise=True, invalidation_mode=UNCHECKED)


def without_symbols(content: bytes) -> bytes:
    """A shared object without what lies behind its last segment: symbols, debugging information, names of sections.

    The dynamic linker reads segments alone. What is no such file is given back as it is.
    """
    if content[:6] != b"\x7fELF\x02\x01":
        return content
    kind, machine, version, entry, programs, _, flags, size, each, count, section, *_ = HEADER.unpack_from(content)
    end = programs + each * count
    for number in range(count):
        _, _, offset, _, _, length, *_ = PROGRAM_HEADER.unpack_from(content, programs + number * each)
        end = max(end, offset + length)
    kept = bytearray(content[:end])
    HEADER.pack_into(kept, 0, kind, machine, version, entry, programs, 0, flags, size, each, count, section, 0, 0)
    kept[:16] = content[:16]
    return bytes(kept)


if __name__ == "__main__":
    main()
