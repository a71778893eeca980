"""What `fairlead check` warns about, and that it is silent about what is in order."""

import pytest

from fairlead.config.bind import bind
from fairlead.config.compile import compile_config
from fairlead.config.problems import Findings
from fairlead.config.review import review
from fairlead.config.shipped import catalog
from fairlead.config.world import World

ENVIRON = {"OPENAI_API_KEY": "sk-openai", "GROQ_API_KEY": "gsk", "KEY": "k" * 20}


def warnings(text: str) -> list[str]:
    findings = Findings("f.yaml")
    config = bind(text.encode(), findings)
    assert config is not None, findings.in_order()
    snapshot = compile_config(config, World(environ=ENVIRON, catalog=catalog()), findings)
    assert snapshot is not None, findings.in_order()
    review(config, snapshot, catalog(), findings)
    assert not findings.has_errors()
    return [str(problem).replace(" warning:", "") for problem in findings.in_order()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {}", ["f.yaml:1:1: routes: there are no routes, so no request can be served"]),
        (
            "routes: [{model: a, deployments: [openai/gpt-4o]}]\ntenants: {t: {residency: eu}}",
            ["f.yaml:2:14: tenants.t: no deployment in 'eu' serves the tenant 't'; give providers a region"],
        ),
        (
            (
                "routes: [{model: a, deployments: [openai/gpt-4o]}]\n"
                "limits: [{scope: deployment, match: openai/gpt-4, concurrency: 1}]"
            ),
            [
                (
                    "f.yaml:2:37: limits[0].match: no route has the deployment 'openai/gpt-4'; "
                    "did you mean 'openai/gpt-4o'?"
                )
            ],
        ),
        (
            (
                "routes: [{model: chat, deployments: [openai/gpt-4o]}]\n"
                "tenants: {acme: {}}\n"
                "limits: [{scope: tenant, match: acne, concurrency: 1}]\n"
                "tiers: {free: {models: [chats, 'c*']}}"
            ),
            [
                "f.yaml:3:33: limits[0].match: there is no tenant 'acne'; did you mean 'acme'?",
                "f.yaml:4:25: tiers.free.models[0]: no route serves 'chats'; did you mean 'chat'?",
            ],
        ),
        (
            (
                "routes: [{model: a, deployments: [openai/gpt-4o, openai/gpt-98]}]\n"
                "limits: [{scope: deployment, match: '*', budget: {limit: 1 USD, per: 1d}}]"
            ),
            [
                (
                    "f.yaml:1:50: routes[0].deployments[1]: no price is known for 'openai/gpt-98', so its cost will be "
                    "unknown; give price to set one"
                ),
                (
                    "f.yaml:2:50: limits[0].budget: no price is known for 'openai/gpt-98', so this budget counts "
                    "nothing for it; give it a price"
                ),
            ],
        ),
        (
            "providers:\n  groq: {}\nroutes: [{model: a, deployments: [openai/gpt-4o]}]",
            ["f.yaml:2:9: providers.groq: no route uses the provider 'groq'"],
        ),
        (
            "routes: [{model: a, deployments: [openai/gpt-99]}]",
            [
                (
                    "f.yaml:1:35: routes[0].deployments[0]: no price is known for 'openai/gpt-99', "
                    "so its cost will be unknown; give price to set one"
                )
            ],
        ),
        (
            "routes:\n- {model: a, deployments: [openai/gpt-4o, groq/llama-3.3-70b-versatile]}",
            [
                (
                    "f.yaml:2:43: routes[0].deployments[1]: 'groq/llama-3.3-70b-versatile' takes no images; "
                    "the first deployment of 'a', 'openai/gpt-4o', has more"
                )
            ],
        ),
        (
            (
                "routes:\n- {model: a, deployments: [openai/gpt-4.1], fallback: {to: [b]}}\n"
                "- {model: b, deployments: [openai/gpt-4o]}"
            ),
            [
                (
                    "f.yaml:2:60: routes[0].fallback.to: 'openai/gpt-4o' has a context of 128000 tokens, not 1047576; "
                    "the first deployment of 'a', 'openai/gpt-4.1', has more"
                )
            ],
        ),
        (
            "routes:\n- {model: a, deployments: [openai/gpt-4o, {use: openai/gpt-4o-mini, tools: false, priority: 2}]}",
            [
                (
                    "f.yaml:2:43: routes[0].deployments[1]: 'openai/gpt-4o-mini' takes no tools; "
                    "the first deployment of 'a', 'openai/gpt-4o', has more"
                )
            ],
        ),
        (
            "routes: [{model: a, deployments: [mistral/mistral-small-2603]}]",
            [
                "f.yaml:1:10: routes[0]: the route 'a' is dead: none of its deployments has a credential",
                (
                    "f.yaml:1:35: routes[0].deployments[0]: provider 'mistral' has no credential; "
                    "set MISTRAL_API_KEY or give api_key"
                ),
            ],
        ),
        (
            (
                "routes:\n- {model: a, deployments: [openai/gpt-4o]}\n- {model: b, deployments: [openai/gpt-4o]}\n"
                "keys: [{name: k, key: env://KEY, models: [a]}]"
            ),
            ["f.yaml:3:3: routes[1]: the route 'b' is dead: no key may ask for it"],
        ),
        (
            (
                "providers:\n  openai: {base_url: 'http://h', api_key: x}\n"
                "routes: [{model: a, deployments: [openai/gpt-4o]}]"
            ),
            ["f.yaml:2:22: providers.openai.base_url: the URL has no path; most APIs begin at /v1"],
        ),
        (
            (
                "server: {tls: {cert: /nowhere/c, key: /dev/null/k}}\n"
                "providers: {openai: {ca: /nowhere/ca}}\nroutes: [{model: a, deployments: [openai/gpt-4o]}]"
            ),
            [
                "f.yaml:1:22: server.tls.cert: there is no file '/nowhere/c'",
                "f.yaml:1:39: server.tls.key: there is no file '/dev/null/k'",
                "f.yaml:2:26: providers.openai.ca: there is no file '/nowhere/ca'",
            ],
        ),
        (
            "routes: [{model: a, deployments: [{use: openai/gpt-4o, weight: 0}, {use: openai/o3, priority: 2}]}]",
            ["f.yaml:1:10: routes[0]: every first choice of the route 'a' has weight 0"],
        ),
    ],
)
def test_what_is_probably_not_meant(text: str, expected: list[str]) -> None:
    assert warnings(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "routes: [{model: a, deployments: [openai/gpt-4o-mini, openai/gpt-4o]}]",
        "routes: [{model: 'gpt-*', deployments: [openai/*]}]",
        (
            "providers: {box: {kind: openai, base_url: 'http://h/v1', self_hosted: true}}\n"
            "routes: [{model: a, deployments: [box/x]}]"
        ),
        "routes: [{model: a, deployments: [{use: openai/x, price: {input: 1, output: 2}}]}]",
        (
            "routes: [{model: a, deployments: [openai/gpt-4o], fallback: {to: [b]}}, "
            "{model: b, deployments: [openai/o3]}]\n"
            "keys: [{name: k, key: env://KEY, models: ['a*']}]"
        ),
    ],
)
def test_what_is_in_order_gets_no_warning(text: str) -> None:
    assert warnings(text) == []
