"""Secrets that come over the network: one module per store, and the safe that asks them and remembers."""
