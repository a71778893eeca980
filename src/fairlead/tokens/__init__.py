"""Counts the tokens of a request before it is sent: exactly where the vocabulary is public, else from its characters.

`chat` says what of a request costs tokens, `vocabulary` loads what counts texts, `characters` estimates without one,
`counter` decides between the two. It must not know limits, prices' use or the gateway.
"""
