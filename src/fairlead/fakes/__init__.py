"""Labelled fake providers with scripted faults, for the demo and for tests.

They speak the providers' real wire formats over a small HTTP/1.1 of their own. On purpose they import nothing of the
gateway's `http` and `dialects`: a mistake there must not cancel out here.
"""

from fairlead.fakes.provider import Provider, serve
from fairlead.fakes.script import FAULT_NAMES, Fault, Pace, Script

__all__ = ["FAULT_NAMES", "Fault", "Pace", "Provider", "Script", "serve"]
