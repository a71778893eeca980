"""The bytes of a YAML file → a tree of nodes with places, within bounds.

It must not know what the configuration contains. The events are checked before PyYAML composes the tree: its C
composer recurses, and deep nesting would end the process instead of raising.
"""

import re
from typing import Any

import yaml

from fairlead.config.problems import Findings, Place

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UnusableError(Exception):
    """The text is YAML, and not one that a configuration may use."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.place = place_of(mark)


def read_tree(source: bytes, findings: Findings) -> yaml.Node | None:
    """The root node; None for an empty document, or when `findings` say what is wrong."""
    if len(source) > MAX_BYTES:
        findings.error("", f"the file has {len(source)} bytes; the most is {MAX_BYTES}")
        return None
    try:
        text = source.decode("utf-8-sig")
        _check(text)
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
        return node
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        findings.error("", "the file is not UTF-8 text", Place(line, 1))
    except _UnusableError as error:
        findings.error("", str(error), error.place)
    except yaml.reader.ReaderError:
        findings.error("", "the file holds a control character that YAML does not allow")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        findings.error("", f"not valid YAML: {_words(error)}", place_of(mark) if mark else None)
    except (yaml.YAMLError, ValueError):
        findings.error("", "not valid YAML")
    return None


def place_of(mark: Any) -> Place:
    """A mark counted from 1, as editors do."""
    return Place(mark.line + 1, mark.column + 1)


def _check(text: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            raise _UnusableError(f"nested more than {MAX_DEPTH} deep", event.start_mark)
        if documents > 1:
            raise _UnusableError("a second document begins here; one file holds one", event.start_mark)


def _words(error: yaml.MarkedYAMLError) -> str:
    """The parser's own words. What it quotes is kept where it is punctuation: anything longer could be a secret."""
    words = str(error.problem or "cannot be read")
    if error.context and error.context_mark:
        words += f", {error.context} from line {error.context_mark.line + 1}"
    return re.sub(r"'([^']*)'", lambda quoted: quoted[0] if len(quoted[1]) < 4 else "'...'", words)
