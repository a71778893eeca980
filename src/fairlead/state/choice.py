"""Which engine keeps the shared state: what the configuration names, with this machine's own beside it.

It must not know what is counted.
"""

from pathlib import Path

from fairlead.canonical.routing import Sharing
from fairlead.state.local import LocalState
from fairlead.state.outage import Guarded, Share
from fairlead.state.port import State
from fairlead.state.valkey import ValkeyState


def open_state(sharing: Sharing, folder: Path) -> State:
    """The state for this process. One that cannot be reached now is waited for while this machine counts by itself."""
    local = LocalState(folder)
    if sharing.state == "local":
        return local
    return Guarded(ValkeyState(sharing.state), local, Share(instances=sharing.instances, money=sharing.float))
