"""What `fairlead usage` takes on the command line. It imports nothing that takes time."""

import argparse

BY = ("tenant", "key", "model", "deployment", "day", "tag", "user")


def usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", choices=BY, help="what to group by; default: tenant")
    parser.add_argument(
        "--since", metavar="WHEN", default="7d", help="7d ago, 2027-01-31 or 2027-01-31T12:00:00Z; default: 7d"
    )
    parser.add_argument("--until", metavar="WHEN", help="the same; default: now")
    parser.add_argument("--tenant", metavar="T", help="only this tenant's usage")
    parser.add_argument("--config", metavar="F", help="the file; default: $FAIRLEAD_CONFIG, then ./fairlead.yaml")
    parser.add_argument(
        "--data", metavar="DIR", help="the embedded database's folder; without --config, nothing else is needed"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--csv", action="store_true", help="print comma-separated values")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--waste", action="store_true", help="what was paid for and of no use, by its cause")
    what.add_argument(
        "--reprice", metavar="TABLE", help="what the requests of the log would cost by another table of prices (TOML)"
    )
