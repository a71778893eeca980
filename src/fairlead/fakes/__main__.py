"""Runs `fakes.process`."""

import sys

from fairlead.fakes.process import main

sys.exit(main(until_stdin_ends=True))
