"""Where a report of simulations is written to: the suffix of the file says what it is written as."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from fairlead.cli.stores import UnusableError
from fairlead.config.units import shown
from fairlead.reports.page import page
from fairlead.simulator.report import Report

EXTRA = "plots"


def check(path: str) -> None:
    """Raises UnusableError where no report can be written to `path`: better before a long simulation than after it."""
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise UnusableError(f"--report {shown(path)}: the file's suffix says what is written; it is one of {known}")
    if suffix in _PICTURES and find_spec("matplotlib") is None:
        raise UnusableError(
            f"--report {shown(path)}: the extra {EXTRA!r} is missing, which draws pictures; in a clone: "
            f"pip install '.[{EXTRA}]', or write an .html"
        )
    folder = Path(path).parent
    if not folder.is_dir():
        raise UnusableError(f"--report {shown(path)}: there is no folder {shown(str(folder))}")
    if Path(path).is_dir():
        raise UnusableError(f"--report {shown(path)} is a folder; name a file")


def write(report: Report, path: str) -> None:
    """A page, JSON or a picture, by the suffix; a line on stderr says that it is there.

    Raises UnusableError with the reason where that cannot be.
    """
    check(path)
    made = _WRITERS[Path(path).suffix.lower()](report)
    try:
        Path(path).write_bytes(made)
    except OSError as error:
        raise UnusableError(f"--report {shown(path)} cannot be written: {error.strerror}") from None
    print(f"{path} is written", file=sys.stderr)


def _page(report: Report) -> bytes:
    return page(report).encode()


def _json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _png(report: Report) -> bytes:
    from fairlead.reports.pictures import picture

    return picture(report, "png")


def _svg(report: Report) -> bytes:
    from fairlead.reports.pictures import picture

    return picture(report, "svg")


_PICTURES = {".png": _png, ".svg": _svg}
_WRITERS: dict[str, Callable[[Report], bytes]] = {".html": _page, ".json": _json, **_PICTURES}
