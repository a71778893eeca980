"""How a report was made, in words. It must not know who shows them."""

from fairlead.simulator.report import Origin


def imprint(origin: Origin) -> str:
    """In a sentence; the command is beside it."""
    return (
        f"{origin.requests:,} requests, seed {origin.seed}; made by Fairlead {origin.version} at {origin.made}, with:"
    )
