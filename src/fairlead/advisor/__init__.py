"""Which gateway should I use? Dated facts, rules as a table, and a ranking whose every point names its fact."""
