"""What the advisor asks: one row is a flag, a question in a terminal and a question of the agent skill.

It must not read an answer, nor the tables; its hints name the answers that those know.
It imports nothing that takes time.
"""

from typing import NamedTuple


class Question(NamedTuple):
    """A question. `metavar` is empty where the answer is yes or no; `after` names the question it depends on."""

    name: str
    metavar: str
    text: str
    hint: str
    after: str = ""

    @property
    def flag(self) -> str:
        """As it stands on the command line."""
        return f"--{self.name.replace('_', '-')}"


QUESTIONS = (
    Question("rps", "N", "How many requests per second at your busiest?", "a number, such as 200"),
    Question("ops", "HOW", "Who is to run it?", "self-hosted, hybrid or managed"),
    Question("data", "WHERE", "Where may prompts go?", "anywhere, eu, on-premises or air-gapped"),
    Question("compliance", "LIST", "What must it comply with?", "hipaa, gdpr, soc2, iso27001"),
    Question(
        "require",
        "LIST",
        "What must it have?",
        "pii (redaction), jailbreak (detection), topics (allowed), audit, budgets, hard-budgets, cache",
    ),
    Question("ttft_p99", "MS", "How late may the first token come, at the 99th percentile?", "milliseconds"),
    Question(
        "baseline",
        "MS",
        "How late does it come without a gateway?",
        "milliseconds, the same percentile",
        after="ttft_p99",
    ),
    Question(
        "stack", "LIST", "What do you build on?", "python, javascript, go, kubernetes, envoy, kong, cloudflare, vercel"
    ),
    Question("free", "", "Only what costs nothing to license?", "yes or no"),
    Question(
        "among",
        "LIST",
        "Between which gateways are you choosing?",
        "fairlead, litellm, portkey, kong, bifrost, cloudflare, vercel, helicone, envoy, agentgateway, openrouter, "
        "tensorzero",
    ),
)
