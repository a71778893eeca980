"""How a report was made, as it tells whoever finds it. It must not know what is in the report."""

import argparse
import time

from fairlead import __version__
from fairlead.control.instants import format_instant
from fairlead.simulator.report import Origin


def origin(args: argparse.Namespace, requests: int) -> Origin:
    """Of the report that this command line makes now; each of its simulations has so many requests."""
    return Origin(
        version=__version__,
        made=format_instant(time.time()),
        command=args.typed,
        requests=requests,
        seed=args.seed,
    )
