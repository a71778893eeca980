"""What the advisor answers to forty questions, written from the facts before the rules were finished.

Each row: the flags, who leads, the rule that decides it, and why the facts say so.
"""

import shlex

import pytest

from fairlead.advisor.advise import advise
from fairlead.cli import main
from fairlead.cli.advise import tables
from fairlead.cli.advise_answers import needs_of

SCENARIOS = [
    # A Python team: LiteLLM fits until its cores cost more than its age is worth.
    ("--stack python --rps 50", "litellm", "status", "one core is enough, and Fairlead, the other one, is unreleased"),
    ("--stack python --rps 400", "litellm", "status", "800 / 152 per core: 6 cores, still less than an unreleased peer"),
    ("--stack python --rps 900 --ops self-hosted", "fairlead", "cores", "12 cores of LiteLLM against one of Fairlead"),
    ("--stack python --rps 2000 --among litellm,bifrost", "bifrost", "scale", "LiteLLM is planned up to 1,000, Bifrost to 2,500"),
    # Exercise 4: LiteLLM or Kong?
    ("--ops self-hosted --rps 300 --among litellm,kong", "litellm", "licence", "4 cores are cheaper than Kong's licence"),
    ("--ops self-hosted --rps 900 --among litellm,kong", "kong", "cores", "12 cores against 1"),
    ("--ops self-hosted --rps 1500 --among litellm,kong", "kong", "scale", "LiteLLM breaks at about 2,000 and is planned for half of it"),
    # Exercise 3: health care, and its neighbours.
    ("--ops self-hosted --compliance hipaa --require pii,audit --among portkey,kong", "kong", "pii", "Portkey's open build has no PII redaction"),
    ("--ops self-hosted --compliance hipaa --require pii,audit", "bifrost", "audit-proof", "Bifrost Enterprise signs its audit log"),
    ("--ops managed --compliance hipaa --require pii", "portkey", "hipaa", "no source says that Kong signs a BAA"),
    ("--ops hybrid --compliance hipaa", "portkey", "hipaa", "the same: Portkey Enterprise signs a BAA"),
    ("--ops hybrid", "kong", "services", "Portkey's data plane wants Kubernetes and Redis"),
    ("--data air-gapped --require pii,audit", "bifrost", "audit-proof", "Portkey has no new air-gapped installations"),
    # Managed.
    ("--ops managed", "cloudflare", "features", "guardrails, cache, budgets and audit in the free plan"),
    ("--rps 100", "cloudflare", "features", "nothing forbids a managed gateway: the least work"),
    ("--ops managed --rps 10000", "cloudflare", "features", "a vendor's scale is the vendor's"),
    ("--ops managed --stack cloudflare", "cloudflare", "stack", "it is on the platform already"),
    ("--ops managed --stack vercel", "vercel", "stack", "it is on the platform already"),
    ("--ops managed --require cache --stack javascript", "cloudflare", "licence", "Vercel has no cache; Portkey costs"),
    ("--ops managed --require pii", "openrouter", "edge", "Cloudflare's DLP flags and blocks, it does not redact"),
    ("--ops managed --data eu", "openrouter", "features", "eu.openrouter.ai, with guardrails in the same plan; Kong asks for each"),
    ("--ops managed --compliance soc2", "cloudflare", "features", "both are certified; Cloudflare has guardrails and a cache"),
    ("--ops managed --compliance soc2,hipaa", "vercel", "status", "Portkey, the other one, changes owners"),
    # Stacks.
    ("--stack kong --rps 2000", "kong", "stack", "whoever runs Kong has its licence and its habits"),
    ("--stack envoy", "envoy", "stack", "Kubernetes-native on Envoy is what it is for"),
    ("--stack kubernetes,envoy --rps 2000", "envoy", "stack", "two of two"),
    ("--stack kubernetes --rps 5000", "agentgateway", "services", "Envoy AI Gateway wants Envoy Gateway as well"),
    ("--stack go --rps 1000 --ops self-hosted", "bifrost", "stack", "a Go gateway for a Go team"),
    ("--stack kubernetes --data on-premises --require pii", "agentgateway", "stack", "masks by pattern, in the free build"),
    # Scale.
    ("--ops self-hosted --rps 3000", "agentgateway", "services", "Bifrost is planned for 2,500; Envoy's needs Kubernetes and Envoy Gateway"),
    ("--ops self-hosted --rps 20000", "envoy", "scale", "no other published test reaches 40,000"),
    # Free, and what only one has.
    ("--ops self-hosted --require audit --free", "fairlead", "licence", "every other audit log is behind a licence"),
    ("--ops self-hosted --require hard-budgets", "fairlead", "hard-budgets", "the others charge after the answer"),
    ("--ops self-hosted --require pii --free", "agentgateway", "security", "LiteLLM had a poisoned release in March 2026"),
    ("--ops self-hosted --require pii,jailbreak --free", "litellm", "licence", "Kong and Bifrost ask for a licence"),
    ("--ops self-hosted --require pii --free --among portkey,litellm", "litellm", "pii", "Portkey's open build has no PII redaction"),
    ("--ops self-hosted --require topics", "bifrost", "features", "Kong and Bifrost have it, both for money"),
    ("--ops self-hosted --compliance soc2", "bifrost", "soc2", "no other vendor of a self-hosted gateway shows a report"),
    # Latency.
    ("--ops self-hosted --ttft-p99 305 --baseline 300", "agentgateway", "overhead", "0.33 ms of 5"),
    ("--stack python --ttft-p99 301 --baseline 300", "fairlead", "stack", "0.48 ms of 1; LiteLLM adds 13"),
    ("--ops managed --ttft-p99 350 --baseline 300", "vercel", "licence", "Cloudflare may add 60 ms; OpenRouter costs a fee"),
    ("--ops managed --ttft-p99 400 --baseline 300", "vercel", "overhead", "20 ms of 100 against 60"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "leader", "rule", "because"), SCENARIOS, ids=[row[0] for row in SCENARIOS])
def test_a_scenario(flags: str, leader: str, rule: str, because: str) -> None:
    facts, rules = tables()
    advice = advise(needs_of(shlex.split(flags), rules, facts), facts, rules)
    assert advice.ranking, because
    first = advice.ranking[0]
    assert (first.gateway, first.rule) == (leader, rule), because


def test_there_are_forty() -> None:
    assert len({row[0] for row in SCENARIOS}) >= 40


@pytest.mark.parametrize("flags", ["--ttft-p99 200 --baseline 300", "--ops managed --data on-premises"])
def test_contradictions_have_no_answer(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", *shlex.split(flags)]) == 1
    out = capsys.readouterr().out
    assert all(word in out for word in flags.split())
