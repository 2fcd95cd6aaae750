"""Copies from the system that runs it what Python programs need, and nothing else: the root of a small image.

Python and its standard library, the shared libraries that programs and packages are linked with, authorities, time
zones, a shell with a few commands. No package manager comes along, but a list of the Debian packages that files were
taken from, where scanners look for it, and their licences. Only the standard library: it runs inside the image build.
"""

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

COMMANDS = ("sh", "cat", "chmod", "chown", "cp", "env", "id", "ln", "ls", "mkdir", "rm", "sleep", "touch")
FOLDERS = ("/etc/ssl", "/usr/lib/ssl", "/usr/share/ca-certificates", "/usr/share/zoneinfo")
FILES = ("/etc/os-release", "/etc/debian_version", "/etc/nsswitch.conf", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
LINKS = ("/bin", "/lib", "/lib64", "/sbin")
WITHOUT = (
    "config-*", "dist-packages", "ensurepip", "idlelib", "lib2to3", "libpython*.a", "pydoc_data",
    "site-packages", "test", "tests", "tkinter", "turtledemo",
    # extension modules that only tests load, or that would bring libraries along which nothing needs
    "_ctypes_test*", "_curses*", "_dbm*", "_gdbm*", "_test*", "_tkinter*", "nis.*", "ossaudiodev*", "readline*",
    "xxlimited*",
)  # fmt: skip
DPKG = Path("/var/lib/dpkg")
_SUPPORT = re.compile(r"=> (/\S+)|^(/\S+) \(0x")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Root of an image that runs the Python of this system.")
    parser.add_argument("root", type=Path, help="folder to make")
    parser.add_argument("programs", type=Path, nargs="+", help="folders whose programs and extension modules must run")
    arguments = parser.parse_args()
    made = Root(arguments.root)
    made.links()
    for path in (*FOLDERS, *FILES):
        made.tree(Path(path))
    made.python()
    for name in COMMANDS:
        made.file(Path(shutil.which(name) or sys.exit(f"this system has no {name}")))
    made.libraries(arguments.programs)
    made.packages()
    subprocess.run(["/sbin/ldconfig", "-r", str(arguments.root)], check=True)  # noqa: S603 - nobody else's words
    for name in ("dev", "proc", "sys", "run", "tmp", "var/tmp"):
        (arguments.root / name).mkdir(parents=True, exist_ok=True)
    for name in ("passwd", "group"):
        root = "root:x:0:0:root:/root:/usr/sbin/nologin" if name == "passwd" else "root:x:0:"
        (arguments.root / "etc" / name).write_text(root + "\n", encoding="utf-8")


class Root:
    """What has been copied. Paths are those of this system, without symbolic links in their folders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._copied: set[Path] = set()

    def links(self) -> None:
        """Folders that are links on this system (`/bin`) are links there."""
        self._root.mkdir(parents=True)
        for link in map(Path, LINKS):
            if link.is_symlink():
                target = link.resolve()
                (self._root / link.name).symlink_to(target.relative_to("/"))
                self._inside(target).mkdir(parents=True, exist_ok=True)

    def file(self, path: Path) -> None:
        """A file; a link with what it leads to."""
        path = path.parent.resolve() / path.name
        if path in self._copied or not path.exists():
            return
        self._copied.add(path)
        target = self._inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
        if path.is_symlink():
            self.file(path.parent / path.readlink())

    def tree(self, folder: Path, without: Iterable[str] = ()) -> None:
        """A folder with all that is in it; a file by itself; nothing when it is not there."""
        if not folder.is_dir():
            self.file(folder)
            return
        for path in sorted(folder.iterdir()):
            if any(path.match(pattern) for pattern in without):
                continue
            if path.is_dir() and not path.is_symlink():
                self.tree(path, without)
            elif path.is_dir():
                target = self._inside(path.parent.resolve() / path.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path.readlink())
            else:
                self.file(path)

    def python(self) -> None:
        """The interpreter under its names, and the standard library."""
        program = Path(sys._base_executable)  # noqa: SLF001 - the only name of the one behind a virtual environment
        for name in ("python3", f"python3.{sys.version_info.minor}"):
            self.file(program.with_name(name))
        self.tree(Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})), WITHOUT)

    def libraries(self, programs: Iterable[Path]) -> None:
        """What the dynamic linker loads for all that is below these folders and in the root, and is not itself there.

        And what libc opens for itself: for names, and to cancel threads. Exits when the system lacks a library.
        """
        folders = [self._root, *programs]
        needing = list(binaries(folders))
        brought = {path.name for path in needing}
        found = set()
        for path in needing:
            for line in output("ldd", str(path)).splitlines():
                name, _, where = line.strip().partition(" => ")
                if where == "not found" and name not in brought:
                    sys.exit(f"{path} needs {name}, which this system does not have")
                match = _SUPPORT.search(line.strip())
                if match is not None:
                    found.add(Path(next(filter(None, match.groups()))))
        system = {path.resolve().parent for path in found if path.name.startswith("libc.so")}
        found |= {path for folder in system for path in folder.glob("libnss_[df]*.so.2")}
        found |= {path for folder in system for path in folder.glob("libgcc_s.so.1")}
        for path in sorted(found):
            if not any(path.resolve().is_relative_to(folder) for folder in folders):
                self.file(path)

    def packages(self) -> None:
        """The paragraphs of dpkg about packages that files were taken from, and their licences."""
        owners = {}
        for listing in DPKG.glob("info/*.list"):
            for line in listing.read_text(encoding="utf-8").splitlines():
                owners[Path(line).parent.resolve() / Path(line).name] = listing.stem.partition(":")[0]
        taken = {owners[path] for path in self._copied if path in owners}
        if not taken:
            return
        paragraphs = (DPKG / "status").read_text(encoding="utf-8").split("\n\n")
        kept = [text for text in paragraphs if re.match(r"Package: (\S+)", text) and text.split()[1] in taken]
        status = self._inside(DPKG / "status")
        status.parent.mkdir(parents=True)
        status.write_text("\n\n".join(kept) + "\n", encoding="utf-8")
        for name in taken:
            self.file(Path("/usr/share/doc") / name / "copyright")

    def _inside(self, path: Path) -> Path:
        return self._root / path.relative_to("/")


def output(*command: str) -> str:
    """What a program of this system prints. It may fail, as `ldd` does for static programs."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - names are ours


def binaries(folders: Iterable[Path]) -> Iterator[Path]:
    """Programs and shared objects below these folders."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


if __name__ == "__main__":
    main()
