"""The shipped vocabularies are the published ones, whole, and need nothing but themselves."""

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiktoken
import tiktoken.load
import tiktoken.registry

from fairlead.catalog.counting import Vocabulary
from fairlead.tokens import vocabulary
from fairlead.tokens.vocabulary import PUBLISHED, load, shipped

SOURCES = Path(vocabulary.__file__).with_name("vocabularies") / "README.md"
SOURCE = Path(vocabulary.__file__).parents[2]
URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
TEXTS = (
    "",
    "tiktoken is great!",
    "The year's 1234567 items, in FULL; aren't they?",
    "Grüße aus Zürich, où l'été est passé",
    "Ограничения должны соблюдаться",
    "お誕生日おめでとう",
    "限制必须在所有进程上精确执行。",
    "سلام دنیا, नमस्ते दुनिया",
    "🎉🚀👨‍👩‍👧‍👦 🇩🇪",
    "def f(x):\n\treturn {'a': [1, 2.5]}  # ok\r\n\n\n   \n",
    "<|endoftext|> and <|im_start|>system<|fim_prefix|>",
    "https://a.example//b!\n//c\r\n/d",
    " \t \u00a0\u3000 trailing   ",
)


def published_form(name: Vocabulary) -> bytes:
    """The file that OpenAI publishes."""
    return b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(shipped(name)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shipped_vocabulary_is_the_published_one(name: Vocabulary) -> None:
    assert hashlib.sha256(published_form(name)).hexdigest() == PUBLISHED[name].sha256
    assert f"`{PUBLISHED[name].sha256}`" in SOURCES.read_text()


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_counts_as_tiktokens_own_encoding_does(
    name: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiktoken's own pattern, special tokens and hash, over the published file in a cache of its own."""
    cached = tmp_path / hashlib.sha1(URL.format(name).encode()).hexdigest()
    cached.write_bytes(published_form(name))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})
    theirs, ours = tiktoken.get_encoding(name), load(name)
    for text in TEXTS:
        assert ours.encode_ordinary(text) == theirs.encode_ordinary(text)
    assert ours.special_tokens_set == theirs.special_tokens_set
    assert ours.n_vocab == theirs.n_vocab


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("cl100k_base", "tiktoken is great!", [83, 1609, 5963, 374, 2294, 0]),
        ("o200k_base", "tiktoken is great!", [83, 8251, 2488, 382, 2212, 0]),
        ("cl100k_base", "2 + 2 = 4", [17, 489, 220, 17, 284, 220, 19]),
        ("cl100k_base", "お誕生日おめでとう", [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699]),
        ("o200k_base", "お誕生日おめでとう", [8930, 9697, 243, 128225, 8930, 17693, 4344, 48669]),
    ],
)
def test_the_cookbooks_examples_come_out(name: Vocabulary, text: str, tokens: list[int]) -> None:
    assert load(name).encode_ordinary(text) == tokens


@pytest.mark.parametrize(
    "damage", [b"", b"\x00\x01", b"x\x9c\x03\x00\x00\x00\x00\x01"], ids=["empty", "no zlib", "short"]
)
def test_a_damaged_file_is_refused_by_name(damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vocabularies").mkdir()
    (tmp_path / "vocabularies" / "o200k_base.bin").write_bytes(damage)
    monkeypatch.setattr(vocabulary, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"'o200k_base' is damaged .* install fairlead anew"):
        shipped("o200k_base")


ALONE = """
import json, os, socket, sys
def refuse(*args, **kwargs): raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
import fairlead.gateway.worker, fairlead.tokens.counter, fairlead.tokens.estimator, fairlead.control.process
before = sorted(name for name in sys.modules if name.partition(".")[0] in ("tiktoken", "regex", "requests"))
written = []
def watch(event, args):
    if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(str(args[0]))
sys.addaudithook(watch)
from fairlead.tokens.vocabulary import load
print(json.dumps([before, len(load("o200k_base").encode_ordinary("tiktoken is great!")), written]))
"""


def test_nothing_is_imported_before_it_is_needed_and_no_network_cache_or_variable_is_used(tmp_path: Path) -> None:
    """In a process with an empty environment: modules before the first use, a count, files opened for writing."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", ALONE],
        env={"PYTHONPATH": str(SOURCE), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[], 6, []]
    assert list(tmp_path.iterdir()) == []
