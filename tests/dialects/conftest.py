"""Lets the tests of this folder share `tests.dialects.strategies`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
