"""Counts the tokens of a request before it is sent: exactly where the vocabulary is public, else from its characters.

`chat` and `unmodelled` say what of a request costs tokens, `vocabulary` loads what counts texts, `characters` estimates
without one, `counter` decides between the two, `estimator` joins it with what deployments may cost. It must not know
limits or the gateway.
"""
