"""What a configuration means: ranks, fallbacks, wildcards, credentials, keys; and what it must not mean."""

import hashlib
import hmac
from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.routing import Cooldown, Deployment, Route, Snapshot, Timeouts
from fairlead.canonical.tenants import VirtualKey
from fairlead.config import model
from fairlead.config.bind import bind
from fairlead.config.compile import compile_config, fallback_order, with_secrets
from fairlead.config.problems import Findings
from fairlead.config.secrets import Fetched
from fairlead.config.shipped import catalog
from fairlead.config.units import is_loopback
from fairlead.config.world import World
from fairlead.policy.routes import Routes

PEPPER = b"pepper"
KEY = "k" * 20
ENVIRON = {"OPENAI_API_KEY": "sk-openai", "ANTHROPIC_API_KEY": "sk-ant", "GROQ_API_KEY": "gsk", "KEY": KEY}
BOX = "providers: {box: {kind: openai, base_url: 'http://10.0.0.5:8000/v1'}}\n"


def compiled(text: str, environ: Mapping[str, str] = ENVIRON) -> tuple[Snapshot | None, list[str]]:
    findings = Findings("f.yaml")
    config = bind(text.encode(), findings)
    assert config is not None, findings.in_order()
    world = World(environ=environ, catalog=catalog(), pepper=PEPPER)
    return compile_config(config, world, findings), [str(problem) for problem in findings.in_order()]


def snapshot(text: str, environ: Mapping[str, str] = ENVIRON) -> Snapshot:
    made, found = compiled(text, environ)
    assert made is not None, found
    return made


def ranks(route: Route) -> list[tuple[str, int]]:
    return [(choice.deployment.name, choice.rank) for choice in route.choices]


def test_priorities_become_ranks() -> None:
    text = (
        "routes: [{model: a, deployments: [{use: groq/x, priority: 7}, openai/gpt-4o, {use: openai/o3, priority: 3}]}]"
    )
    (route,) = snapshot(text).routes
    assert ranks(route) == [("openai/gpt-4o", 0), ("openai/o3", 1), ("groq/x", 2)]


def test_fallback_routes_follow_with_higher_ranks_each_deployment_once() -> None:
    text = """
routes:
- {model: a, deployments: [openai/a, {use: openai/b, priority: 2}], fallback: {to: [b, d]}}
- {model: b, deployments: [openai/b, groq/b], fallback: {to: [c]}}
- {model: c, deployments: [groq/c, openai/a]}
- {model: d, deployments: [groq/d]}
"""
    first, second, *_ = snapshot(text).routes
    assert ranks(first) == [("openai/a", 0), ("openai/b", 1), ("groq/b", 2), ("groq/c", 3), ("groq/d", 4)]
    assert ranks(second) == [("openai/b", 0), ("groq/b", 0), ("groq/c", 1), ("openai/a", 1)]


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6))
def test_a_fallback_order_ends_and_starts_with_the_route(links: list[list[int]]) -> None:
    routes = tuple(
        model.Route(model=str(n), deployments=(), fallback=model.Fallback(to=tuple(map(str, to))))
        for n, to in enumerate(links)
    )
    order = fallback_order("0", model.Config(routes=routes))
    assert order[0] == "0"
    assert len(order) == len(set(order))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "routes:\n- {model: a, deployments: [opnai/x]}",
            "f.yaml:2:28: routes[0].deployments[0]: unknown provider 'opnai'; did you mean 'openai'?",
        ),
        (
            "routes:\n- model: a\n  deployments:\n  - {weight: 2, use: zzz/x}",
            "f.yaml:4:22: routes[0].deployments[0].use: unknown provider 'zzz'; add it under providers",
        ),
        (
            "providers:\n  antropic: {}",
            "f.yaml:2:13: providers.antropic: the catalog has no provider 'antropic'; did you mean 'anthropic'?",
        ),
        (
            "providers:\n  mine: {}",
            (
                "f.yaml:2:9: providers.mine: the catalog has no provider 'mine'; a server of your own needs "
                "kind: openai or anthropic, and base_url"
            ),
        ),
        (
            "providers: {a: {kind: opnai}}",
            "f.yaml:1:23: providers.a.kind: unknown kind 'opnai'; did you mean 'openai'?",
        ),
        (
            "providers: {a: {kind: azure}}",
            "f.yaml:1:23: providers.a.kind: this version of Fairlead does not have kind 'azure' yet",
        ),
        (
            "routes: [{model: a, deployments: []}]",
            "f.yaml:1:34: routes[0].deployments: route 'a' has no deployment; name at least one",
        ),
        (
            "routes:\n- {model: a, deployments: [groq/x]}\n- {model: a, deployments: [groq/x]}",
            "f.yaml:3:11: routes[1].model: a route for 'a' is here already; a model has one route",
        ),
        (
            "routes: [{model: a, deployments: [groq/x, groq/x]}]",
            "f.yaml:1:43: routes[0].deployments[1]: 'groq/x' is in this route twice; use weight instead",
        ),
        (
            "routes: [{model: a, deployments: [openai/*]}]",
            "f.yaml:1:35: routes[0].deployments[0]: 'openai/*' needs a wildcard route; 'a' is one model",
        ),
        (
            "routes: [{model: a, deployments: [{use: groq/x, weight: 0}]}]",
            "f.yaml:1:34: routes[0].deployments: every weight is 0; at least one must be more",
        ),
        (
            "routes: [{model: chat, deployments: [groq/x]}, {model: a, deployments: [groq/x], fallback: {to: [caht]}}]",
            "f.yaml:1:98: routes[1].fallback.to[0]: there is no route 'caht'; did you mean 'chat'?",
        ),
        (
            "routes: [{model: a, deployments: [groq/x], fallback: {to: [a]}}]",
            "f.yaml:1:60: routes[0].fallback.to[0]: a cycle: 'a' falls back to 'a' again",
        ),
        (
            "admin: {listen: 0.0.0.0:1}",
            "f.yaml:1:17: admin.listen: without admin.key the admin port listens on loopback only",
        ),
        (
            "routes: [{model: chat, deployments: [groq/x]}]\nkeys: [{name: k, key: env://KEY, models: [chta]}]",
            "f.yaml:2:43: keys[0].models[0]: no route serves 'chta'; did you mean 'chat'?",
        ),
        (
            "tenants: {acme: {}}\nkeys: [{name: k, key: env://KEY, tenant: acne}]",
            "f.yaml:2:42: keys[0].tenant: there is no tenant 'acne'; did you mean 'acme'?",
        ),
        (
            "keys: [{name: k, key: short-secret}]",
            "f.yaml:1:23: keys[0].key: the key has 12 characters; it must have 20 or more",
        ),
        (
            "keys: [{name: k, key: env://KEY}, {name: l, key: env://KEY}]",
            "f.yaml:1:50: keys[1].key: the keys 'k' and 'l' are the same",
        ),
        (
            "keys: [{name: k, key: env://KEY}, {name: k, key: llllllllllllllllllllllll}]",
            "f.yaml:1:42: keys[1].name: a key named 'k' is here already",
        ),
        (
            "routes: [{model: a, deployments: [openai/a]}]\njournal: {max_size: 255KiB}",
            "f.yaml:2:21: journal.max_size: 255KiB has no room for the records of requests; give it 256KiB or more",
        ),
    ],
)
def test_what_cannot_work_is_an_error_at_its_place(text: str, expected: str) -> None:
    assert compiled(text) == (None, [expected])


def test_a_long_cycle_is_told_for_every_route_in_it() -> None:
    text = "\n".join(
        ["routes:"]
        + [f"- {{model: {a}, deployments: [groq/x], fallback: {{to: [{b}]}}}}" for a, b in ("ab", "bc", "ca")]
    )
    made, found = compiled(text)
    assert made is None
    assert len(found) == 3
    assert all("a cycle" in line for line in found)


def test_a_route_passes_its_settings_on() -> None:
    text = """
routes:
- model: a
  deployments: [groq/x]
  select: latency
  retry: {attempts: 0, max_attempts: 3, backoff: {base: 1s, cap: 2s, jitter: none}, on: [429], budget: 0.5}
  fallback: {on: [quality]}
  timeout: {total: 1s, connect: 2s, first_token: 3s, idle: 4s}
  cooldown: {after: 9, for: 1m}
"""
    (route,) = snapshot(text).routes
    assert route.select == "latency"
    assert route.fallback == {"quality"}
    assert (route.retry.attempts, route.retry.max_attempts, route.retry.budget) == (0, 3, 0.5)
    assert (route.retry.backoff.base, route.retry.backoff.cap, route.retry.backoff.jitter) == (1, 2, "none")
    assert route.retry.on == {"429"}
    assert route.timeouts == Timeouts(total=1, connect=2, first_token=3, idle=4)
    assert route.cooldown == Cooldown(after=9, duration=60)


def test_a_route_without_settings_has_the_canonical_defaults() -> None:
    (route,) = snapshot("routes: [{model: a, deployments: [groq/x]}]").routes
    assert route == Route(model="a", choices=route.choices)


def test_the_catalog_fills_in_what_it_knows() -> None:
    (route,) = snapshot("routes: [{model: a, deployments: [openai/gpt-4o-mini, openai/unheard-of]}]").routes
    known, unknown = (choice.deployment for choice in route.choices)
    row, price = catalog().models["openai", "gpt-4o-mini"], catalog().price("openai", "gpt-4o-mini")
    assert (known.dialect, known.base_url, known.auth) == ("openai_chat", "https://api.openai.com/v1", "bearer")
    assert price is not None
    assert known.price == price
    assert price.version == catalog().version
    assert (known.context, known.tools, known.vision) == (row.context, True, True)
    assert (unknown.price, unknown.context, unknown.tools) == (None, None, None)


def test_what_the_configuration_says_wins_over_the_catalog() -> None:
    text = """
providers: {openai: {base_url: 'http://h/v1/', api_key: x, auth: api-key, api_version: '7', headers: {b: '2', a: '1'}}}
routes:
- model: a
  deployments:
  - {use: openai/gpt-4o, price: {input: 1, output: 2.5}, context: 1k, max_output: 10, tools: false, vision: false}
"""
    deployment = snapshot(text).routes[0].choices[0].deployment
    assert (deployment.base_url, deployment.auth, deployment.api_version) == ("http://h/v1", "api-key", "7")
    assert deployment.headers == (("a", "1"), ("b", "2"))
    assert deployment.price is not None
    assert (deployment.price.input, deployment.price.output) == (Decimal(1), Decimal("2.5"))
    assert (deployment.context, deployment.max_output) == (1000, 10)
    assert (deployment.tools, deployment.vision) == (False, False)


def test_a_server_of_your_own_has_no_credential_and_no_catalog_facts() -> None:
    made = snapshot(BOX + "routes: [{model: a, deployments: [box/gpt-4o]}]")
    deployment = made.routes[0].choices[0].deployment
    assert (deployment.credential, deployment.auth, deployment.price) == ("", "none", None)
    assert made.secrets == {}


def test_a_key_variable_goes_to_the_catalogs_url_only() -> None:
    """A configuration that points `openai` elsewhere must not hand OPENAI_API_KEY to whoever listens there."""
    made = snapshot("providers: {openai: {base_url: 'http://h/v1'}}\nroutes: [{model: a, deployments: [openai/x]}]")
    assert made.secrets == {}
    assert made.routes[0].choices[0].deployment.auth == "none"


def test_a_second_account_has_its_own_credential() -> None:
    text = (
        "providers: {eu: {kind: openai, api_key: sk-eu}}\nroutes: [{model: a, deployments: [eu/gpt-4o, openai/gpt-4o]}]"
    )
    made = snapshot(text)
    assert made.secrets == {"eu": "sk-eu", "openai": "sk-openai"}
    own, other = (choice.deployment for choice in made.routes[0].choices)
    assert (own.credential, other.credential) == ("eu", "openai")
    assert own.price == other.price is not None


def test_a_wildcard_keeps_its_star() -> None:
    (route,) = snapshot("routes: [{model: 'gpt-*', deployments: [openai/*]}]").routes
    deployment = route.choices[0].deployment
    assert (route.model, deployment.name, deployment.model) == ("gpt-*", "openai/*", "*")


def test_a_credential_that_is_missing_is_a_warning_and_no_secret() -> None:
    text = "providers: {openai: {api_key: env://NOPE}}\nroutes: [{model: a, deployments: [openai/x, groq/x]}]"
    made, found = compiled(text, {})
    assert made is not None
    assert made.secrets == {}
    assert found == [
        "f.yaml:1:31: providers.openai.api_key: warning: the environment variable NOPE is not set",
        (
            "f.yaml:2:45: routes[0].deployments[1]: warning: provider 'groq' has no credential; "
            "set GROQ_API_KEY or give api_key"
        ),
    ]


def test_keys_are_kept_as_their_mac_only() -> None:
    text = (
        "routes: [{model: a, deployments: [groq/x]}]\ntenants: {t: {}}\n"
        "keys: [{name: ci, tenant: t, key: env://KEY, models: [a]}]"
    )
    made = snapshot(text)
    mac = hmac.new(PEPPER, KEY.encode(), hashlib.sha256).hexdigest()
    assert made.keys == {mac: VirtualKey(id="ci", name="ci", tenant="t", models=("a",))}
    assert not made.open


def test_without_keys_a_gateway_is_open_on_loopback_only() -> None:
    assert snapshot("server: {listen: 127.0.0.1:1}").open
    made, found = compiled("server: {listen: 0.0.0.0:1}")
    assert made is not None
    assert not made.open
    assert found == [
        (
            "f.yaml:1:18: server.listen: warning: no keys here and not on loopback: "
            "only keys of 'fairlead keys create' are taken"
        )
    ]


def test_keys_that_do_not_resolve_do_not_open_the_gateway() -> None:
    made, found = compiled("keys: [{name: ci, key: env://NOPE}]")
    assert made is not None
    assert (made.open, made.keys) == (False, {})
    assert found == ["f.yaml:1:24: keys[0].key: warning: the environment variable NOPE is not set"]


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "localhost:1", "'[::1]:1'", "127.8.9.1:1"])
def test_without_keys_the_gateway_is_open_on_loopback(listen: str) -> None:
    assert snapshot(f"server: {{listen: {listen}}}").open


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "127.0.0.1.example.org"])
def test_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_an_admin_port_beyond_loopback_needs_a_key_that_resolves() -> None:
    assert compiled("admin: {listen: 0.0.0.0:1, key: env://KEY}")[0] is not None
    made, found = compiled("admin: {listen: 0.0.0.0:1, key: env://NOPE}")
    assert made is None
    assert any("without a key" in line for line in found)


@pytest.mark.parametrize("where", ["admin: {{key: {}}}", "keys: [{{name: ci, key: {}}}]"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("short-canary", "the key has 12 characters; it must have 20 or more"),
        ("change-me-to-a-canary", "an example's placeholder; make one of your own"),
    ],
)
def test_a_key_that_anybody_could_guess_is_refused(where: str, value: str, words: str) -> None:
    made, found = compiled(where.format("env://K"), {"K": value})
    assert made is None
    assert words in found[0]
    assert "canary" not in found[0]


VAULT = "vault://secret/data/llm#x"
REMOTE = f"""
providers: {{groq: {{api_key: "{VAULT}"}}}}
routes: [{{model: a, deployments: [groq/x]}}]
keys: [{{name: ci, key: "{VAULT}"}}]
admin: {{listen: "0.0.0.0:1", key: "{VAULT}"}}
"""


def fetched(given: Fetched | None) -> tuple[Snapshot | None, list[str]]:
    findings = Findings("f.yaml")
    config = bind(REMOTE.encode(), findings)
    assert config is not None, findings.in_order()
    world = World(environ={}, catalog=catalog(), pepper=PEPPER, fetched=given)
    return compile_config(config, world, findings), [str(problem) for problem in findings.in_order()]


def test_what_no_store_has_been_asked_for_is_no_news() -> None:
    made, found = fetched(None)
    assert made is not None
    assert (made.secrets, made.keys, made.open, found) == ({}, {}, False, [])


def test_what_stores_gave_is_used() -> None:
    made, found = fetched(Fetched({VAULT: KEY}))
    assert made is not None
    assert (made.secrets, len(made.keys), found) == ({"groq": KEY}, 1, [])


def test_what_a_store_did_not_give_is_told_at_its_place_and_stops_nothing() -> None:
    made, found = fetched(Fetched({}, {VAULT: "the vault is sealed; unseal it"}))
    assert made is not None
    assert (made.secrets, made.keys, made.open) == ({}, {}, False)
    why = f"{VAULT} has no value: the vault is sealed; unseal it"
    assert found == [
        f"f.yaml:2:29: providers.groq.api_key: warning: {why}",
        f"f.yaml:4:24: keys[0].key: warning: {why}",
        f"f.yaml:5:35: admin.key: warning: {why}",
        "f.yaml:5:35: admin.key: warning: until it has a value, the admin port answers nobody",
    ]


def test_other_credentials_make_another_version_of_the_same_snapshot() -> None:
    made = snapshot("routes: [{model: a, deployments: [groq/x]}]")
    other = with_secrets(made, {"groq": "another"})
    assert other.version != made.version
    assert with_secrets(other, made.secrets) == made


def test_the_server_settings_arrive() -> None:
    server = snapshot("server: {listen: 127.0.0.2:5, workers: 3, max_body: 1kB, tls: {cert: c, key: k}}").server
    assert (server.host, server.port, server.workers, server.max_body) == ("127.0.0.2", 5, 3, 1000)
    assert (server.tls_cert, server.tls_key) == ("c", "k")


def test_the_version_follows_the_content_and_tells_no_secret() -> None:
    text = "routes: [{model: a, deployments: [groq/x]}]"
    same = snapshot(text).version
    assert snapshot("# a comment\n" + text).version == same
    assert snapshot(text.replace("model: a", "model: b")).version != same
    assert snapshot(text, {"GROQ_API_KEY": "other"}).version != same
    assert len(same) == 12


def test_a_wildcard_serves_each_model_with_what_the_catalog_knows_of_it() -> None:
    made = snapshot("routes: [{model: '*', deployments: [openai/*]}]")
    routes = Routes(made.routes, made.facts)
    row, price = catalog().models["openai", "gpt-4o-mini"], catalog().price("openai", "gpt-4o-mini")

    def served(model: str) -> Deployment:
        route = routes.find(model)
        assert route is not None
        return route.choices[0].deployment

    for asked in ("gpt-4o-mini", "openai/gpt-4o-mini"):
        known = served(asked)
        assert (known.model, known.context, known.max_output) == ("*", row.context, row.max_output)
        assert known.price == price is not None
    unheard = served("unheard-of")
    assert (unheard.price, unheard.context) == (None, None)
