"""Tokens of a text without a vocabulary, estimated from its characters.

A token is taken for four letters or spaces, two digits or marks of ASCII, or three bytes of UTF-8 beyond ASCII (one
Chinese character, one and a half Cyrillic letters), and the model's margin comes on top. docs/estimates.md compares
it with the truth.
"""

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz "
BEYOND_ASCII = bytes(range(128, 256))


def estimated(text: str, per_cent: int) -> int:
    """The tokens of `text`, rounded up; a longer text never has fewer. Not an upper bound: see the module."""
    data = text.encode("utf-8", "surrogatepass")
    rest = data.translate(None, LETTERS)
    marks = len(rest) if text.isascii() else len(rest.translate(None, BEYOND_ASCII))
    twelfths = 3 * (len(data) - len(rest)) + 6 * marks + 4 * (len(rest) - marks)
    return -(-twelfths * per_cent // 1200)
