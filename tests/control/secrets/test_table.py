"""Every scheme has its store, and none costs anything before it is used."""

import os
import subprocess
import sys
from pathlib import Path

from fairlead.config import vaults
from fairlead.config.secrets import SCHEMES
from fairlead.control.secrets.store import Machine
from fairlead.control.secrets.table import STORES

ROOT = Path(__file__).parents[3]
SDKS = ("boto3", "botocore", "google.auth", "azure", "requests")


def test_every_scheme_over_the_network_has_a_store() -> None:
    assert STORES.keys() == {name for name, scheme in SCHEMES.items() if scheme.remote}


async def test_opening_every_store_imports_no_sdk_and_asks_nothing() -> None:
    stores = [row.open(vaults.Secrets(), Machine(environ={})) for row in STORES.values()]
    for store in stores:
        await store.close()
    code = (
        "import sys\n"
        "from fairlead.cli import serve\n"
        "from fairlead.config.model import Secrets\n"
        "from fairlead.control.secrets.store import Machine\n"
        "from fairlead.control.secrets.table import STORES\n"
        "for row in STORES.values(): row.open(Secrets(), Machine(environ={}))\n"
        f"print([name for name in {SDKS} if name in sys.modules])"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert told.stdout.strip() == "[]", told.stderr
