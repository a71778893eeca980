"""How long the tests are that have a short form and a full one: `make soak` asks for the full ones."""

import os

FULL = bool(os.environ.get("FAIRLEAD_FULL"))
