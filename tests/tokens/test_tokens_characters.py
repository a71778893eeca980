"""Characters tell tokens well enough: never fewer for ordinary text, more for more text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiktoken import Encoding

from fairlead.tokens.characters import estimated

SAMPLES = {
    "English": "Limits must hold across processes, and a budget is never exceeded, whatever a client sends. ",
    "code": "def settle(rule, state, now):\n    level, at = drained(rule, state, now // rule.tick)\n    return level\n",
    "JSON": '{"id": 17, "name": "item", "tags": ["a", "b"], "price": {"amount": 12.5, "currency": "EUR"}}\n',
    "digits": "31415926535897932384626433832795028841971",
    "German": "Die Grenzen müssen über alle Prozesse hinweg genau eingehalten werden, größere sind ausgeschlossen. ",
    "Russian": "Ограничения должны соблюдаться точно во всех процессах и на всех машинах. ",
    "Arabic": "يجب أن تُحترم الحدود بدقة عبر جميع العمليات وعلى جميع الأجهزة. ",
    "Hindi": "सीमाएँ सभी प्रक्रियाओं और सभी मशीनों पर सटीक रूप से लागू होनी चाहिए। ",
    "Thai": "ขีดจำกัดต้องถูกบังคับใช้อย่างแม่นยำในทุกกระบวนการและทุกเครื่อง ",
    "Chinese": "限制必须在所有进程和所有机器上精确执行，预算绝不能超出。",
    "Japanese": "制限は、すべてのプロセスとすべてのマシンで正確に守られなければなりません。",
    "Korean": "제한은 모든 프로세스와 모든 기계에서 정확하게 지켜져야 합니다. ",
}
MARGIN = 115


@pytest.mark.parametrize("language", SAMPLES)
def test_ordinary_text_is_not_estimated_too_low(language: str, o200k: Encoding) -> None:
    """Held to the newer of the vocabularies that are public; most models' are like it."""
    text = SAMPLES[language] * 10
    true = len(o200k.encode_ordinary(text))
    assert true <= estimated(text, MARGIN) <= 3.5 * true


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 2),
        ("abcd" * 100, 115),
        ("0123456789", 6),
        ("限制", 3),
        ("ж" * 30, 23),
        ("\ud800", 2),
    ],
)
def test_the_rule_is_as_documented(text: str, tokens: int) -> None:
    assert estimated(text, MARGIN) == tokens


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one: str, other: str) -> None:
    assert estimated(one, MARGIN) <= estimated(one + other, MARGIN) <= estimated(one, MARGIN) + estimated(other, MARGIN)


@given(st.text(st.characters(max_codepoint=127), min_size=1))
def test_ascii_is_at_least_a_quarter_of_its_characters(text: str) -> None:
    assert estimated(text, MARGIN) * 400 >= len(text) * MARGIN


def test_a_wider_margin_is_kept() -> None:
    assert estimated("abcd" * 100, 150) == 150
