"""`fairlead.yaml` → `Snapshot`, every error with its line. `load` is the way in; it must not know traffic."""
