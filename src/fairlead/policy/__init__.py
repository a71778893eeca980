"""What to do next: which deployment, whether to try again, when to leave one alone.

Pure: time and chance are passed in.
"""
