"""What `fairlead replay` takes on the command line. It imports nothing that takes time."""

import argparse


def replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "journal", metavar="JOURNAL", help="a journal file, a folder of them, or a gateway's data folder"
    )
    parser.add_argument(
        "--config", metavar="F", help="the proposed file; default: $FAIRLEAD_CONFIG, then ./fairlead.yaml"
    )
    parser.add_argument("--against", metavar="F", help="the file that served it: replayed too, and compared with")
    parser.add_argument("--since", metavar="WHEN", help="7d ago, 2027-01-31 or 2027-01-31T12:00:00Z; default: all")
    parser.add_argument("--until", metavar="WHEN", help="the same")
    parser.add_argument(
        "--seed", metavar="S", type=int, default=1, help="of chance; the same one gives the same figures"
    )
    parser.add_argument("--report", metavar="F", help="a report of the simulations as well: .html, .json, .png or .svg")
    parser.add_argument("--json", action="store_true", help="print JSON")
