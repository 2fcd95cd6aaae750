#!/bin/sh
# Makes the virtual environment $1 and installs the locked packages of $2 and this project into it.
# Works on a Debian without python3-venv too.
set -eu
venv=$1
locked=$2
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Gatewright needs Python 3.11 or newer; '$python' is not. Set PYTHON, for example: make PYTHON=python3.12 install" >&2
    exit 1
fi

if [ ! -x "$venv/bin/python" ]; then
    echo "Making the virtual environment $venv"
    if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        "$python" -m venv --without-pip "$venv"
    fi
fi

if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    pip() { "$venv/bin/python" -m pip "$@"; }
else
    # No ensurepip (Debian without python3-venv): the wheel of pip runs as it is.
    wheel=$(ls "$(dirname "$0")"/bootstrap/pip-*.whl)
    pip() { "$venv/bin/python" "$wheel/pip" "$@"; }
fi

echo "Installing the locked packages (the first time this takes about a minute)"
pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "$locked"
pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
