"""`fairlead serve`: puts the process family together and runs it.

It composes what the floors below know apart: configuration, workers, the control process, the demo's fakes.
"""

import argparse
import contextlib
import io
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fairlead.cli.family import Folders, Plan, UnusableError, control_post, machine_name, worker_post
from fairlead.cli.logs import log_to_stderr
from fairlead.config.load import ENVIRONMENT, Loaded, load
from fairlead.config.model import Config
from fairlead.config.units import Address, format_address, is_loopback, parse_address
from fairlead.config.world import SHORTEST_KEY
from fairlead.control import process as control
from fairlead.database.place import Place
from fairlead.fakes import demo
from fairlead.fakes import process as fakes
from fairlead.gateway import worker
from fairlead.state.board import Board, is_ready
from fairlead.state.keepsake import Keepsake
from fairlead.state.pepper import PepperError, load_pepper
from fairlead.supervisor import Child, Supervisor, log

DEMO_FILE = "demo.yaml"
FAKES = ("openai", "anthropic", "self_hosted")


def run(args: argparse.Namespace) -> int:
    """Serves until told to stop; 1 when the configuration or an address cannot be used."""
    log_to_stderr()
    folder = Path(tempfile.mkdtemp(prefix="fairlead-"))
    try:
        ports = _free_ports(len(FAKES)) if args.demo else []
        file = _demo_file(folder, ports) if args.demo else args.config
        shortest = len(demo.CLIENT_KEY) if args.demo else SHORTEST_KEY
        loading = partial(load, environ=os.environ, pepper=partial(_pepper, args), shortest_key=shortest)
        plan = _plan(args, file, loading)
        return _serve(plan, folder, ports)
    except (UnusableError, PepperError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pepper(args: argparse.Namespace, config: Config) -> bytes:
    """This machine's own pepper, for a configuration without one."""
    return load_pepper(Path(args.data or config.data))


def _plan(args: argparse.Namespace, file: str | None, loading: Callable[..., Loaded]) -> Plan:
    if args.demo and args.config:
        raise UnusableError("--demo has a configuration of its own; leave --config out")
    loaded = loading(file)
    for problem in loaded.problems:
        sys.stderr.write(f"{problem}\n")
    if loaded.snapshot is None or loaded.config is None:
        raise UnusableError("nothing is served: the configuration has errors")
    config = loaded.config
    listen = _address(args.listen, "--listen") or config.server.listen
    admin = _address(args.admin_listen, "--admin-listen") or config.admin.listen
    if config.admin.key is None and not is_loopback(admin.host):
        raise UnusableError(f"without admin.key the admin port listens on loopback only, not on {admin.host}")
    if loaded.snapshot.open and not is_loopback(listen.host):
        where = format_address(listen)
        sys.stderr.write(f"no keys in the configuration: on {where} only keys of 'fairlead keys create' are taken\n")
    data = Path(args.data or config.data)
    return Plan(
        listen=listen,
        admin=admin,
        workers=args.workers or config.server.workers,
        drain=config.server.drain,
        data=data,
        file=loaded.file,
        load=partial(loading, None if loaded.file == ENVIRONMENT else loaded.file),
        first=loaded.snapshot,
        place=Place(data=data, url=loaded.database),
        admin_key=loaded.admin_key,
        admin_guarded=config.admin.key is not None,
        told=frozenset(str(problem) for problem in loaded.problems),
    )


def _serve(plan: Plan, folder: Path, fake_ports: list[int]) -> int:
    proxy, admin = _reserved(plan.listen), _reserved(plan.admin)
    listen = Address(plan.listen.host, proxy.getsockname()[1])
    admin_listen = Address(plan.admin.host, admin.getsockname()[1])
    if listen.port == admin_listen.port:
        raise UnusableError(f"the proxy and the admin port are both {listen.port}; give them two")
    board = Board(plan.workers)
    keepsake = Keepsake()
    supervisor = Supervisor(
        drain=plan.drain,
        is_ready=lambda: all(is_ready(figures) for figures in board.all()),
        on_ready=partial(_announce, listen, admin_listen, plan),
    )
    if fake_ports:
        supervisor.add(Child(name="fakes", run=partial(_fakes, fake_ports, supervisor.lifeline), tier=2))
    folders = Folders(plan.data, folder / "control", machine_name(plan.data))
    post = control_post(plan, admin_listen, folders, lifeline=supervisor.lifeline, keepsake=keepsake)
    supervisor.add(Child(name="control", run=partial(control.control, post, board), tier=1))
    for number in range(plan.workers):
        work = partial(_work, worker_post(number, listen, folders, supervisor.lifeline), board, keepsake)
        supervisor.add(Child(name=f"worker-{number}", run=work, on_death=partial(board.clear, number)))
    return supervisor.run()


def _work(post: worker.Post, board: Board, keepsake: Keepsake) -> None:
    keepsake.close()  # what control keeps for itself is none of a worker's business
    worker.work(post, board)


def _announce(listen: Address, admin: Address, plan: Plan) -> None:
    log.info(
        "ready",
        extra={
            "listen": format_address(listen),
            "admin": format_address(admin),
            "workers": plan.workers,
            "config": plan.file,
        },
    )


def _address(text: str | None, flag: str) -> Address | None:
    if text is None:
        return None
    try:
        return parse_address(text)
    except ValueError as error:
        raise UnusableError(f"{flag}: {error}") from None


def _reserved(address: Address) -> socket.socket:
    """A bound socket that holds the port while workers share it (SO_REUSEPORT); it never listens itself.

    A first bind without sharing finds out whether another program has the port already.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address.host, address.port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        where = format_address(address)
        raise UnusableError(
            f"cannot listen on {where}: {error.strerror}; choose another with --listen or --admin-listen"
        ) from None
    return sock


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has."""
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(sock.getsockname()[1]) for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def _demo_file(folder: Path, ports: list[int]) -> str:
    path = folder / DEMO_FILE
    path.write_text(demo.demo_config(dict(zip(FAKES, ports, strict=True))))
    return str(path)


def _fakes(ports: list[int], lifeline: int) -> None:
    """The demo's providers. Their own line about ports is for others; they end with the supervisor."""
    os.dup2(lifeline, 0)
    flags = [f"--{name.replace('_', '-')}=127.0.0.1:{port}" for name, port in zip(FAKES, ports, strict=True)]
    with contextlib.redirect_stdout(io.StringIO()):
        raise SystemExit(fakes.main(["--demo", *flags], until_stdin_ends=True))
