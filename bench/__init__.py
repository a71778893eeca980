"""The measuring of Fairlead: beside nginx, in one run, on one machine. Start at `run.py`."""
