"""`fairlead serve --demo`: what a newcomer meets first."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tests.real.processes import Gateway, gateway

from fairlead.fakes import demo

pytestmark = pytest.mark.real

HELLO: Any = [{"role": "user", "content": "hello there world"}]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("demo"), None, "--demo") as running:
        yield running


def test_the_demo_answers_through_retries_and_fallbacks(shown: Gateway) -> None:
    """Four of ten first tries fail, so twenty requests that all went well at the first try would be a wonder."""
    outcomes: Counter[str] = Counter()
    with openai.OpenAI(base_url=shown.base_url, api_key=demo.CLIENT_KEY, max_retries=0, timeout=60) as client:
        for number in range(20):
            raw = client.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
            answer = raw.parse()
            assert answer.choices[0].message.content == "You said: hello there world", number
            for attempt in raw.headers["x-fairlead-attempts"].split(","):
                outcomes[attempt.rpartition(":")[2]] += 1
    assert outcomes["200"] == 20
    assert set(outcomes) - {"200"} <= {"429", "500", "503", "529"}
    assert sum(outcomes.values()) > 20


def test_the_demo_streams(shown: Gateway) -> None:
    with openai.OpenAI(base_url=shown.base_url, api_key=demo.CLIENT_KEY, max_retries=0, timeout=60) as client:
        stream = client.chat.completions.create(model="chat", messages=HELLO, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in stream) == "You said: hello there world"


def test_the_demo_wants_its_key(shown: Gateway) -> None:
    with (
        openai.OpenAI(base_url=shown.base_url, api_key="fl-other", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="chat", messages=HELLO)
