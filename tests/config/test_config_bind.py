"""Every mistake is found at its line and column, in one go; nothing makes binding raise."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fairlead.config.bind import MAX_NODES, MAX_PROBLEMS, bind, keys_of
from fairlead.config.model import Config, Deployment
from fairlead.config.problems import Findings
from fairlead.config.shape import record_of
from fairlead.config.source import MAX_BYTES
from fairlead.config.units import Address

KEYS = sorted({path.rpartition(".")[2].removesuffix("[]") for path in keys_of(record_of(Config), "")})


def problems(text: str) -> list[str]:
    """What is wrong with `text`, as it is printed."""
    findings = Findings("f.yaml")
    assert bind(text.encode(), findings) is None
    return [str(problem) for problem in findings.in_order()]


def config(text: str) -> Config:
    findings = Findings("f.yaml")
    bound = bind(text.encode(), findings)
    assert bound is not None, findings.in_order()
    assert findings.in_order() == ()
    return bound


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("servr: {}", "f.yaml:1:1: servr: unknown key 'servr'; did you mean 'server'?"),
        ("server:\n  listn: x", "f.yaml:2:3: server.listn: unknown key 'listn'; did you mean 'listen'?"),
        (
            "routes:\n- model: a\n  deployments: [a/b]\n  first_token: 3s",
            ("f.yaml:4:3: routes[0].first_token: unknown key 'first_token'; "
            "it belongs to 'routes[].timeout.first_token'"),
        ),
        (
            "zzz: 1",
            ("f.yaml:1:1: zzz: unknown key 'zzz'; known here: server, admin, data, database, state, outage, "
            "pepper, old_pepper, secrets, journal, observability, audit, providers, routes, tiers, tenants, "
            "limits, keys, issuers"),
        ),
        (
            "routes:\n- model: a\n  deployments: [a/b]\n  select: wieghted",
            ("f.yaml:4:11: routes[0].select: 'wieghted' is not one of weighted, round_robin, priority, least_busy, "
            "latency, cost, sticky; did you mean 'weighted'?"),
        ),
        (
            "routes: [{model: a, deployments: [a/b], retry: {on: [429, 5x]}}]",
            ("f.yaml:1:59: routes[0].retry.on[1]: '5x' is not one of 429, 5xx, timeout, connect, auth, "
            "context_window, content_policy, quality; did you mean '5xx'?"),
        ),
        ("server: {drain: 10}", ("f.yaml:1:17: server.drain: '10' is not a duration; write a number and a unit: "
         "200ms, 5s, 1m, 1h, 1d, 1w or 1mo")),
        ("server: {workers: '2'}", "f.yaml:1:19: server.workers: must be a number without quotes"),
        ("server: {workers: 0}", "f.yaml:1:19: server.workers: '0' is not a whole number from 1 to 256"),
        ("server: {keep_alive: 0s}", "f.yaml:1:22: server.keep_alive: '0s' must be more than zero"),
        ("server: [1]", "f.yaml:1:9: server: must be a mapping, not a list"),
        ("routes: {}", "f.yaml:1:9: routes: must be a list, not a mapping"),
        ("providers: [a]", "f.yaml:1:12: providers: must be a mapping, not a list"),
        ("server:\n  listen:", "f.yaml:2:10: server.listen: must be a host:port, not empty"),
        ("server: {listen: {}}", "f.yaml:1:18: server.listen: must be a host:port, not a mapping"),
        ("- a", "f.yaml:1:1: must be a mapping, not a list"),
        ("routes:\n- deployments: []", "f.yaml:2:3: routes[0]: the key 'model' is missing"),
        (
            "server: {}\nadmin: {}\nserver: {}",
            "f.yaml:3:1: server: the key 'server' is here twice; first on line 1",
        ),
        (
            "guardrails: {}",
            "f.yaml:1:1: guardrails: this version of Fairlead does not have 'guardrails' yet; remove it",
        ),
        (
            "keys:\n- {name: a, key: b, guardrails: []}",
            "f.yaml:2:21: keys[0].guardrails: this version of Fairlead does not have 'guardrails' yet; remove it",
        ),
        (
            "state: memcached://h",
            "f.yaml:1:8: state: must be local, redis://host:6379 or valkey://host:6379, or a reference to such a URL",
        ),
        (
            "state: redis://:secret@/0",
            "f.yaml:1:8: state: the URL names no host; write local, redis://host:6379 or valkey://host:6379",
        ),
        (
            "state: redis://:secret@h:99999",
            (
                "f.yaml:1:8: state: the URL's port is no port number; write local, redis://host:6379 or "
                "valkey://host:6379"
            ),
        ),
        (
            "database: mysql://u:secret@h/x",
            ("f.yaml:1:11: database: must be null, or postgresql://user:password@host/name, "
            "or a reference to such a URL"),
        ),
        (
            "tiers: {free: {bananas: {limit: 1, per: 1s}}}",
            (
                "f.yaml:1:16: tiers.free.bananas: unknown key 'bananas'; known here: requests, tokens, input_tokens, "
                "output_tokens, concurrency, budget, models"
            ),
        ),
        (
            "tiers: {free: {requests: {limit: 0, per: 1m}}}",
            "f.yaml:1:34: tiers.free.requests.limit: '0' must be more than zero",
        ),
        (
            "tiers: {free: {requests: [{limit: 5, per: 1m, burst: -1}]}}",
            ("f.yaml:1:54: tiers.free.requests[0].burst: '-1' is not a count; write a whole number, "
            "or one with k or M: 500, 20k, 1M"),
        ),
        (
            "tiers: {free: {tokens: {limit: 2000M, per: 1m}}}",
            "f.yaml:1:32: tiers.free.tokens.limit: '2000M' is more than 1G, the largest limit",
        ),
        (
            "tiers: {free: {budget: {limit: 5 EUR, per: 1d}}}",
            ("f.yaml:1:32: tiers.free.budget.limit: '5 EUR' is not an amount of money; "
            "write for example 5 USD or 0.25 USD"),
        ),
        (
            "keys: [{name: a, key: b, expires: tomorrow}]",
            "f.yaml:1:35: keys[0].expires: 'tomorrow' is not a date; write 2027-01-31 or 2027-01-31T12:00:00Z",
        ),
        (
            "keys: [{name: a, key: b, cidrs: [10.0.0.1/8]}]",
            ("f.yaml:1:34: keys[0].cidrs[0]: '10.0.0.1/8' is not a network; "
            "write for example 10.0.0.0/8 or 2001:db8::/32"),
        ),
        (
            "providers: {a/b: {}}",
            "f.yaml:1:13: providers.a/b: 'a/b' is not a name of letters, digits, '.', '_' and '-'",
        ),
        (
            "tenants: {'': {}}",
            "f.yaml:1:11: tenants.'': '' is not a name of letters, digits, '.', '_' and '-'",
        ),
        (
            "providers: {a: {headers: {Content-Length: 1}}}",
            "f.yaml:1:27: providers.a.headers.Content-Length: 'Content-Length' is set by the gateway itself",
        ),
        (
            "providers: {a: {headers: {'x y': 1}}}",
            "f.yaml:1:27: providers.a.headers.x y: 'x y' is not a header's name",
        ),
        (
            'providers: {a: {headers: {x: "a\\r\\nb: c"}}}',
            "f.yaml:1:30: providers.a.headers.x: 'a\\r\\nb: c' is not one line of ASCII",
        ),
        (
            "providers: {a: {base_url: 'http://u:p@h/v1'}}",
            ("f.yaml:1:27: providers.a.base_url: must be a URL without user, query and fragment"),
        ),
        ('data: "a\\nb"', "f.yaml:1:7: data: must not be empty, and must be one line"),
        ('"se\\nrver": 1', "f.yaml:1:1: 'se\\nrver': unknown key 'se\\nrver'; did you mean 'server'?"),
        ("[a]: b", "f.yaml:1:1: a key must be a word"),
        ("data: !!python/name:os.system x", "f.yaml:1:7: data: YAML tags are not used here; remove it"),
        ("data: !x y", "f.yaml:1:7: data: YAML tags are not used here; remove it"),
        ("server: {<<: [1]}", "f.yaml:1:15: server: << merges mappings only"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: a second document begins here; one file holds one"),
        ("providers: {a: {self_hosted: yes}}", "f.yaml:1:30: providers.a.self_hosted: 'yes' is not true or false"),
        (
            "routes: [{model: a*b, deployments: []}]",
            "f.yaml:1:18: routes[0].model: 'a*b' is not a model name; a * may stand at its end and nowhere else",
        ),
        (
            "routes: [{model: a, deployments: [gpt-4o]}]",
            "f.yaml:1:35: routes[0].deployments[0]: 'gpt-4o' is not provider/model, such as openai/gpt-4o-mini",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = "server: {listn: 1}\nroutes:\n  - modle: chat\n    select: fast\nstate: x\nkeys: 3\n"
    assert [line.split(": ")[:2] for line in problems(text)] == [
        ["f.yaml:1:10", "server.listn"],
        ["f.yaml:3:5", "routes[0].modle"],
        ["f.yaml:3:5", "routes[0]"],  # deployments are missing; model is not, it is misspelled
        ["f.yaml:4:13", "routes[0].select"],
        ["f.yaml:5:8", "state"],
        ["f.yaml:6:7", "keys"],
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [\nb", 3, "did not find expected ',' or ']', while parsing a flow sequence from line 1"),
        ("a: b: c", 1, "not valid YAML"),
        ("a:\n\t- b", 2, "not valid YAML"),
        ("a: *sk-canary", 1, "not valid YAML"),
        ("a: 'sk-canary", 1, "not valid YAML"),
        ("a: @sk-canary", 1, "not valid YAML"),
        ("a: \x01", 1, "control character"),
        ("[" * 100_000, 1, "nested more than 64 deep"),
        ("{a: " * 100_000, 1, "nested more than 64 deep"),
        ("- " * 100_000, 1, "nested more than 64 deep"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line_and_no_content(text: str, line: int, words: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith(f"f.yaml:{line}:")
    assert words in problem
    assert "canary" not in problem


def test_bytes_that_are_no_text() -> None:
    findings = Findings("f.yaml")
    assert bind(b"data: x\nstate: \xff", findings) is None
    assert [str(problem) for problem in findings.in_order()] == ["f.yaml:2:1: the file is not UTF-8 text"]


def test_a_file_has_a_bound() -> None:
    assert "the most is" in problems("#" * (MAX_BYTES + 1))[0]
    assert config("{} #" + "#" * (MAX_BYTES - 4)) == Config()


def test_aliases_cannot_make_billions() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = (
        "routes: [{model: a, deployments: &d [a/b" + ", a/b" * 500 + "]}" + ", {model: a, deployments: *d}" * 500 + "]"
    )
    assert f"more than {MAX_NODES} values" in problems(text)[0]
    assert len(problems("\n".join(lines))) == 10  # unknown keys are not looked into


@pytest.mark.parametrize("text", ["server: &a {<<: *a}", "server: &a {tls: *a}", "routes: &a [*a]"])
def test_an_alias_within_its_own_anchor_ends(text: str) -> None:
    assert problems(text)


def test_anchors_and_merges_work() -> None:
    bound = config(
        "providers:\n  a: &base {kind: openai, region: eu, self_hosted: true}\n  b: *base\n"
        "  c: {<<: *base, region: us}\n  d: {<<: [{region: x}, *base]}"
    )
    assert [bound.providers[name].region for name in "abcd"] == ["eu", "eu", "us", "x"]
    assert all(provider.kind == "openai" for provider in bound.providers.values())


def test_the_key_on_is_a_key_and_429_a_word() -> None:
    """YAML 1.1 makes `on` a boolean and 429 a number."""
    text = "routes: [{model: a, deployments: [a/b], retry: {on: [429, '5xx']}, fallback: {on: [auth]}}]"
    (route,) = config(text).routes
    assert route.retry.on == {"429", "5xx"}
    assert route.fallback.on == {"auth"}


def test_text_is_taken_as_written() -> None:
    bound = config("tenants: {acme: {tags: {cost_center: 0042, vip: yes, since: 2026-01-02}}, no: {}}")
    assert bound.tenants["acme"].tags == {"cost_center": "0042", "vip": "yes", "since": "2026-01-02"}
    assert "no" in bound.tenants


@pytest.mark.parametrize("text", ["", "\n", "# only a comment"])
def test_a_file_with_nothing_in_it_is_a_mistake(text: str) -> None:
    """An editor that writes in two steps leaves one for a moment, and it would take every route and key away."""
    (problem,) = problems(text)
    assert "the file is empty; 'fairlead init' writes one" in problem


@pytest.mark.parametrize("text", ["{}", "null", "~", "server:\nroutes:\nproviders:\nkeys:\n"])
def test_what_is_empty_is_the_default(text: str) -> None:
    assert config(text) == Config()


def test_deployments_in_short_and_in_full() -> None:
    text = "routes: [{model: a, deployments: [a/b, {use: groq/openai/c, weight: 0.5, priority: 2, context: 128k}]}]"
    assert config(text).routes[0].deployments == (
        Deployment(use="a/b"),
        Deployment(use="groq/openai/c", weight=0.5, priority=2, context=128_000),
    )


def test_values_of_every_kind() -> None:
    bound = config(
        "server: {listen: '[::1]:1', max_body: 1MiB, drain: 0s, tls: {cert: /c, key: /k}}\n"
        "providers: {a: {base_url: 'http://h:1/v1', headers: {x-a: b c}, max_connections: 7}}\n"
    )
    assert bound.server.listen == Address("::1", 1)
    assert (bound.server.max_body, bound.server.drain) == (1 << 20, 0.0)
    assert bound.server.tls is not None
    assert bound.providers["a"].headers == {"x-a": "b c"}


def test_after_so_many_errors_it_stops_looking() -> None:
    found = problems("\n".join(f"key{n}: 1" for n in range(50_000)))
    assert len(found) == MAX_PROBLEMS + 1
    assert any("200 errors and more" in line for line in found)


def test_headers_are_in_lower_case() -> None:
    assert config("providers: {a: {headers: {X-Team: ml}}}").providers["a"].headers == {"x-team": "ml"}


@pytest.mark.parametrize(
    "text", ["server: {workers: 2, drain: 1s}", "a: [", "a: *b", '"\\U00110000": 1', "a: \x01", "["]
)
def test_without_the_c_loader_it_is_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML may have been built without libyaml; then its slower loader takes over."""

    def bound() -> tuple[Config | None, bool]:
        findings = Findings("f.yaml")
        value = bind(text.encode(), findings)
        return value, findings.has_errors()

    fast = bound()
    monkeypatch.setattr("fairlead.config.source._LOADER", yaml.SafeLoader)
    assert bound() == fast


def test_the_slower_loaders_words_show_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.config.source._LOADER", yaml.SafeLoader)
    assert problems("a: *canary") == ["f.yaml:1:4: not valid YAML: found undefined alias '...'"]


def test_no_message_shows_a_secret() -> None:
    text = """
providers:
  a: sk-canary
  b: {api_key: {x: sk-canary}}
  c: {api_key: [sk-canary]}
  d: {api_key: "sk-canary\\n"}
  e: {api_key: "vault://sk-canary"}
keys:
  - sk-canary
  - {name: a, key: "sk-canary\\t"}
"""
    found = problems(text)
    assert len(found) == 7
    assert "canary" not in "\n".join(found)


SCALARS = st.one_of(
    st.text(max_size=12),
    st.integers(-5, 5000),
    st.booleans(),
    st.none(),
    st.sampled_from(["a/b", "5s", "1MiB", "env://A"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=5)), inner, max_size=5)
    ),
    max_leaves=25,
)


@given(st.text(max_size=300))
def test_no_text_makes_binding_raise(text: str) -> None:
    _bound_or_explained(text.encode())


@given(st.binary(max_size=300))
def test_no_bytes_make_binding_raise(source: bytes) -> None:
    _bound_or_explained(source)


@given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5), st.booleans())
def test_no_tree_makes_binding_raise(tree: dict[str, Any], flow: bool) -> None:
    _bound_or_explained(yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True).encode())


def _bound_or_explained(source: bytes) -> None:
    findings = Findings("f.yaml")
    bound = bind(source, findings)
    assert (bound is None) == findings.has_errors()
    lines = source.count(b"\n") + source.count(b"\r") + source.count(b"\x85") + 3
    lines += source.count(b"\xe2\x80")  # U+2028 and U+2029 break lines in YAML
    assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in findings.in_order())
