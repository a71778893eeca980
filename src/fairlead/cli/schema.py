"""`fairlead schema`: the configuration's JSON Schema."""

import argparse

from fairlead.cli.output import print_json
from fairlead.config.schema import json_schema


def run(_: argparse.Namespace) -> int:
    """Prints it."""
    print_json(json_schema())
    return 0
