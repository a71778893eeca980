"""What a configuration would do: the workers' own policy under a virtual clock, in front of synthetic providers.

Pure up to the command line: no sockets, files or clocks, and chance only from the seed. Read `trial` first.
"""
