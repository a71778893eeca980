"""What `fairlead simulate` takes on the command line. It imports nothing that takes time."""

import argparse


def simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="F", help="the file; default: $FAIRLEAD_CONFIG, then ./fairlead.yaml")
    parser.add_argument("--demo", action="store_true", help="OpenAI, then Anthropic, then self-hosted, which fail")
    parser.add_argument("--scenario", metavar="F", help="how providers behave and who asks for what (YAML)")
    parser.add_argument(
        "--faults",
        metavar="P:FAULTS",
        action="append",
        default=[],
        help="what a provider, a deployment or * (every one) does wrong: openai:429=0.05,503=0.02,slow=0.01x8; "
        "may be repeated",
    )
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="another value for what the configuration says, such as retry.attempts=0; may be repeated",
    )
    parser.add_argument("--trace", metavar="JOURNAL", help="recorded requests instead of made-up ones")
    parser.add_argument("--requests", metavar="N", help="how many, such as 10k; default: 100000, or all of --trace")
    parser.add_argument(
        "--rps", metavar="R", help="requests per second of everyone without a rate of their own; default: 50"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="of all chance; default: 1")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--sweep", metavar="NAME=FROM:TO:STEP", help="a curve, such as openai.error=0:0.5:0.05")
    what.add_argument("--suggest", action="store_true", help="the cheapest setting that meets --slo")
    parser.add_argument("--compare", metavar="F", help="another configuration, beside the first")
    parser.add_argument("--slo", metavar="TARGETS", help="targets, such as success=0.999,ttft_p99=800ms")
    parser.add_argument("--report", metavar="F", help="a report as well: .html, .json, .png or .svg")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--figures", metavar="NAMES", help="only these, such as success_rate,latency_ms.p99")
    shape.add_argument("--json", action="store_true", help="print JSON")
