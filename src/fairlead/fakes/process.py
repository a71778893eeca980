"""`python -m fairlead.fakes`: fake providers in a process of their own.

It prints the bound ports as one line of JSON and serves until SIGTERM or SIGINT, or, as a program of its own, until
its standard input ends: then whoever started it is gone.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from collections.abc import Sequence

from fairlead.fakes import demo
from fairlead.fakes.provider import FORMATS, serve
from fairlead.fakes.script import FAULT_NAMES, Pace, Script, parse_rates


def main(argv: Sequence[str] | None = None, *, until_stdin_ends: bool = False) -> int:
    """Serves until told to stop; the exit status."""
    options = _parser().parse_args(argv)
    addresses = {name: getattr(options, name) for name in FORMATS}
    if options.demo:
        addresses = {name: address or "127.0.0.1:0" for name, address in addresses.items()}
    if not any(addresses.values()):
        sys.stderr.write("nothing to serve: give --openai, --anthropic, --self-hosted or --demo\n")
        return 2
    chosen = {name: address for name, address in addresses.items() if address}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen, options, until_stdin_ends))
    return 0


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {name:<16} {text}" for name, text in FAULT_NAMES.items())
    parser = argparse.ArgumentParser(
        prog="python -m fairlead.fakes",
        description="Fake model providers: they echo, and they fail as they are told.",
        epilog=f"faults (NAME or NAME:AMOUNT):\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in FORMATS:
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="HOST:PORT")
    parser.add_argument("--demo", action="store_true", help="all three, with the demo's faults and keys")
    parser.add_argument("--faults", type=parse_rates, metavar="NAME=RATE,...", help="for every provider")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key", help="the key that the OpenAI and Anthropic fakes demand")
    parser.add_argument("--first", type=float, default=0.0, metavar="SECONDS", help="to the first event")
    parser.add_argument("--interval", type=float, default=0.0, metavar="SECONDS", help="between events")
    parser.add_argument("--chunks", type=int, metavar="N", help="words, and so events, of a plain answer")
    return parser


async def _serve(addresses: dict[str, str], options: argparse.Namespace, until_stdin_ends: bool) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with contextlib.AsyncExitStack() as stack:
        ports = {}
        for name, address in addresses.items():
            host, _, port = address.rpartition(":")
            key, script = _role(name, options)
            provider = await stack.enter_async_context(
                serve(name, script=script, seed=options.seed, key=key, host=host, port=int(port))
            )
            ports[name] = provider.port
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        if until_stdin_ends:
            _watch_stdin(loop, over)
        await over.wait()


def _role(name: str, options: argparse.Namespace) -> tuple[str | None, Script]:
    if options.demo and options.faults is None:
        return demo.PROVIDER_KEYS[name], demo.SCRIPTS[name]
    pace = Pace(first=options.first, interval=options.interval, chunks=options.chunks)
    key = demo.PROVIDER_KEYS[name] if options.demo else options.key
    return None if name == "self_hosted" else key, Script.of(rates=options.faults, pace=pace)


def _watch_stdin(loop: asyncio.AbstractEventLoop, over: asyncio.Event) -> None:
    """A pipe or socket on standard input is the parent's life line; anything else says nothing."""
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return

    def readable() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            over.set()

    loop.add_reader(descriptor, readable)
