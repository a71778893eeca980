"""Records as others want to be told of them: metrics, log lines, spans.

It knows the vocabulary of each. It must not know where they are sent.
"""
