"""The nouns that every floor shares: chat, events, usage, routing and errors.

Frozen values with no behavior beyond derivation. Nothing here knows a wire format, a socket or a clock.
"""
