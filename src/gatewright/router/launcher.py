"""Turns into Envoy. Runs as a script of its own, so imports nothing of the project: `launcher.py PARENT BINARY ARGS…`.

Asks the kernel to kill the process when the parent dies, so that Envoy never outlives its supervisor, whatever happens
to that; and takes all the file descriptors it may have. Both survive `exec`. A small process and not code between fork
and exec: the parent runs threads of gRPC, and must not run Python after a fork.
"""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 126


def main(arguments: list[str]) -> None:
    """Never returns."""
    parent, command = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)  # the parent died before the kernel was asked
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        os.execv(command[0], command)  # noqa: S606 - the binary was chosen and checked by the parent
    except OSError as error:
        sys.stderr.write(f"cannot execute {command[0]}: {error.strerror}\n")
        sys.exit(CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1:])
