"""Secrets that come over the network: one module per store, and the keyring that asks them and remembers."""
