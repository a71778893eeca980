"""Which gateway should I use? Dated facts, rules as a table, and a ranking whose every point names its fact.

It must not know who asks, nor anything of our own configuration.
"""
