"""What simulations and replays came to, as people read it: tables, charts, a page, pictures.

`tables` and `charts` say what is told and drawn; everything else puts that somewhere. It must not know how a simulation
comes to its figures, nor a terminal.
"""
