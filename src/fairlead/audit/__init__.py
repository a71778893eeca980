"""The audit trail: entries that are leaves of a Merkle tree, signed checkpoints, and proofs that others can check.

It knows files, hashes and keys. It must not know who makes entries, nor how a configuration names its secrets.
"""
