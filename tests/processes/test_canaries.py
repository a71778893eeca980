"""X20: distinctive secrets in every position, every error that we can drive, and no trace of them in any sink."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from http.client import IncompleteRead
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.control.secrets.cloud_fakes import Answer, CloudFake, cloud
from tests.control.secrets.servers import fake_providers, frozen_bao
from tests.postgres import postgres
from tests.processes.family import KEY, ROOT, Family, fetch, serving
from tests.processes.tenants import admin, fake_provider
from tests.processes.tenants import config as tenants_config
from tests.processes.test_secrets import control_of, reachable, take
from tests.valkey import valkey

from fairlead.config.load import load
from fairlead.config.secrets import Fetched
from fairlead.control.audit_post import AuditPost
from fairlead.control.configuring import ConfigPost, Kept
from fairlead.control.process import Post
from fairlead.control.secrets.store import Machine
from fairlead.control.tenancy_post import TenancyPost
from fairlead.database.engine import Database
from fairlead.database.place import Place
from fairlead.database.tables import metadata
from fairlead.state.keepsake import Keepsake

CANARIES = {
    name: f"canary-{number:02d}-{name}+/=&-{number * 7919:06x}"
    for number, name in enumerate(
        ("env", "file", "vault", "literal", "client", "clientvault", "admin", "roleid", "secretid", "stranger", "next",
         "multi", "evil", "query", "header", "bad", "database", "state", "pepper-of-all-machines"),
        start=10,
    )
}  # fmt: skip


def traces(text: bytes, canaries: Mapping[str, str] = CANARIES) -> list[str]:
    """The canaries that stand in `text`: raw, in base64 at any offset, URL-encoded, in hex, broken by line ends."""
    whole = text.replace(b"\\n", b"").replace(b"\n", b"").lower()
    found = []
    for name, canary in canaries.items():
        core = canary.encode()[7:]  # what "canary-" begins could stand in a name of ours
        forms = [core, core.hex().encode(), json.dumps(canary)[8:-1].encode()]
        forms += [urllib.parse.quote(core, safe=safe).encode() for safe in ("", "/")]
        for offset in range(3):
            encoded = base64.b64encode(bytes(offset) + core)
            forms += [encoded[4:-4], encoded[4:-4].translate(bytes.maketrans(b"+/", b"-_"))]
        if any(form.lower() in whole for form in forms):
            found.append(name)
    return found


@pytest.mark.parametrize("form", [str, lambda t: base64.b64encode(b"xy" + t.encode()).decode(), urllib.parse.quote])
def test_the_search_finds_what_it_looks_for(form: object) -> None:
    canary = CANARIES["vault"]
    assert callable(form)
    assert traces(f"some {form(canary)} text".encode()) == ["vault"]
    assert traces(canary.encode().hex().encode()) == ["vault"]
    assert traces(f"{canary[:15]}\n{canary[15:]}".encode()) == ["vault"]
    assert traces(json.dumps({"reason": canary}).encode()) == ["vault"]
    assert traces(b"nothing of the kind") == []


class EvilVault(CloudFake):
    """A FAKE vault that repeats in its errors whatever it was told, and more."""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if path.endswith("/login"):
            return 200, {"auth": {"client_token": CANARIES["evil"], "lease_duration": 60, "renewable": False}}
        return 500, {"errors": [CANARIES["evil"], headers.get("x-vault-token"), body.decode()]}


def config(provider: int, vault: str, folder: Path) -> str:
    base = f'kind: openai, base_url: "http://127.0.0.1:{provider}/v1"'
    return f"""
server: {{drain: 1s}}
admin: {{key: "vault://secret/data/keys#admin"}}
secrets:
  refresh: 200ms
  vault: {{address: "{vault}", auth: approle, role_id: env://ROLE_ID, secret_id: "file://{folder}/secret-id"}}
providers:
  by-env: {{{base}, api_key: env://CANARY_ENV}}
  by-file: {{{base}, api_key: "file://{folder}/key"}}
  by-vault: {{{base}, api_key: "vault://secret/data/llm#vault"}}
  by-text: {{{base}, api_key: "{CANARIES["literal"]}"}}
  multi: {{{base}, api_key: "vault://secret/data/llm#multi"}}
routes:
  - {{model: env, deployments: [by-env/m], retry: {{attempts: 0}}}}
  - {{model: file, deployments: [by-file/m], retry: {{attempts: 0}}}}
  - {{model: vault, deployments: [by-vault/m, multi/m], retry: {{attempts: 0}}}}
  - {{model: text, deployments: [by-text/m], retry: {{attempts: 0}}}}
keys:
  - {{name: one, key: "{CANARIES["client"]}"}}
  - {{name: two, key: "vault://secret/data/keys#client"}}
"""


@pytest.fixture
def provider() -> Iterator[int]:
    with fake_providers("--openai=127.0.0.1:0", "--key=nobody") as ports:
        yield ports["openai"]


class Sinks:
    """Everything that anyone could read."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {}
        self.canaries = dict(CANARIES)

    def take(self, name: str, *parts: object) -> None:
        self.texts[name] = b"\n".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)

    def leaks(self) -> dict[str, list[str]]:
        return {name: found for name, text in self.texts.items() if (found := traces(text, self.canaries))}

    def take_files(self, folder: Path) -> None:
        """Every file, without the empty pages of those that were made large for what may come."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.take(f"data: {path.relative_to(folder)}", path.read_bytes().replace(bytes(512), b""))

    def minted(self, key: str) -> str:
        """A key made at run time is to be found nowhere; its id."""
        _, name, secret = key.split("_")
        self.canaries[f"key {name}"] = f"canary-{secret}"
        return name


def ask_everything(family: Family, sinks: Sinks, when: str) -> None:
    """Every model with every kind of caller, well and badly."""
    for number, key in enumerate((CANARIES["client"], CANARIES["clientvault"], CANARIES["stranger"], "")):
        for model in ("env", "file", "vault", "text", "none"):
            sinks.take(f"{when}: answer {number} {model}", *family.chat(key=key, model=model))
    body = b'{"model": "env", "api_key": "' + CANARIES["bad"].encode() + b'", "messages": 7}'
    headers = {"authorization": f"Bearer {CANARIES['client']}", "x-secret": CANARIES["header"]}
    url = f"{family.url}/v1/chat/completions?key={urllib.parse.quote(CANARIES['query'])}"
    sinks.take(f"{when}: bad body", *fetch(url, body, headers)[1:2])
    sinks.take(f"{when}: bad json", *fetch(url, b"{" + body, headers))
    sinks.take(
        f"{when}: no path", *fetch(f"{family.url}/nowhere?key={urllib.parse.quote(CANARIES['query'])}", None, headers)
    )
    for path in ("/healthz", "/readyz", "/livez", "/nowhere", "/metrics"):
        for key in (CANARIES["admin"], CANARIES["stranger"]):
            sinks.take(
                f"{when}: admin {path} {key[:9]}", *fetch(family.admin + path, None, {"authorization": f"Bearer {key}"})
            )


def health(family: Family) -> bytes:
    return fetch(f"{family.admin}/healthz", None, {"authorization": f"Bearer {CANARIES['admin']}"})[2]


def command(sinks: Sinks, folder: Path, environ: dict[str, str], *words: str) -> None:
    environment = {**os.environ, **environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-m", "fairlead", *words], capture_output=True, cwd=folder, env=environment)
    sinks.take(f"fairlead {' '.join(words[:1] + words[3:])}", done.stdout, done.stderr)


def test_no_secret_is_in_any_sink(tmp_path: Path, provider: int) -> None:
    sinks = Sinks()
    secrets, data = tmp_path / "secrets", tmp_path / "data"
    secrets.mkdir()
    data.mkdir()
    file = tmp_path / "fairlead.yaml"
    (secrets / "key").write_text(CANARIES["file"])
    with frozen_bao() as (vault, program):
        vault.token()
        vault.api("POST", "sys/auth/approle", {"type": "approle"})
        vault.api("POST", "auth/approle/role/gateway", {"token_policies": ["reader"]})
        vault.api("POST", "auth/approle/role/gateway/role-id", {"role_id": CANARIES["roleid"]})
        own = {"secret_id": CANARIES["secretid"]}
        vault.api("POST", "auth/approle/role/gateway/custom-secret-id", own)
        (secrets / "secret-id").write_text(CANARIES["secretid"])
        vault.put("llm", vault=CANARIES["vault"], multi=f"{CANARIES['multi']}\nsecond line")
        vault.put("keys", admin=CANARIES["admin"], client=CANARIES["clientvault"])
        environ = {"CANARY_ENV": CANARIES["env"], "ROLE_ID": CANARIES["roleid"]}
        good = config(provider, vault.address, secrets)
        file.write_text(good)
        take(provider, *(CANARIES[name] for name in ("env", "file", "vault", "literal")))
        with serving("--config", str(file), data=data, environ=environ) as family:
            assert family.chat(key=CANARIES["clientvault"], model="vault")[0] == 200
            assert fetch(f"{family.admin}/healthz", None, {"authorization": f"Bearer {CANARIES['admin']}"})[0] == 200
            ask_everything(family, sinks, "well")
            vault.put("llm", vault=CANARIES["next"], multi=CANARIES["multi"] + "\n")
            family.event("credential_refused")
            take(provider, CANARIES["next"])
            ask_everything(family, sinks, "refused by the provider")
            (secrets / "secret-id").write_text("wrong " + CANARIES["bad"])
            vault.api("PUT", "sys/leases/revoke-prefix/auth/approle")
            family.event("secret_store_down")
            file.write_text(good.replace("drain: 1s", f"drane: {CANARIES['bad']}"))
            family.event("config_rejected")
            file.write_text(
                good.replace(CANARIES["client"], "bad").replace(
                    "  - {name: two", f"  - {CANARIES['bad']}\n  - {{name: two"
                )
            )
            family.event("config_rejected", 2)
            evil = EvilVault()
            with cloud(evil):
                file.write_text(config(provider, evil.origin, secrets))
                family.until(lambda: evil.requests, "the evil vault was not asked")
                family.until(lambda: b"status 500" in health(family), "no word of it")
                ask_everything(family, sinks, "evil vault")
            program.process.kill()
            os.kill(control_of(family), signal.SIGKILL)
            family.event("child_died")
            family.until(lambda: reachable(family), "control did not come back")
            ask_everything(family, sinks, "after a crash")
            raw = family
        sinks.take("log", "".join(raw.raw))
    assert any("credential_refused" in line for line in raw.raw)
    assert any(line["event"] == "request" for line in raw.lines)
    told = [text for name, text in sinks.texts.items() if "admin /metrics" in name]
    assert any(b'fairlead_attempts_total{deployment="by-env/m"' in text for text in told)
    for words in (
        ("check",),
        ("check", "--json"),
        ("explain", "--model", "vault"),
        ("explain", "--model", "vault", "--json"),
    ):
        command(sinks, tmp_path, environ, words[0], "--config", str(file), *words[1:])
    sinks.take_files(data)
    assert any(name.startswith("data: journal") for name in sinks.texts)
    assert len(sinks.texts) > 100
    assert sinks.leaks() == {}


FAULTS = "500=0.1,cut=0.1,html=0.1,400=0.1,error_event=0.1,bad_event=0.1"


def test_x21_no_word_of_a_prompt_an_answer_or_a_person_is_in_logs_and_metrics(tmp_path: Path) -> None:
    """At default settings. The fake repeats the prompt in its answer, and in some of its errors."""
    texts = {name: f"canary-{number}-{name}-said" for number, name in enumerate(("prompt", "person", "note"), start=30)}
    sinks = Sinks()
    sinks.canaries = texts
    with fake_provider(f"--faults={FAULTS}", "--seed=4") as port:
        (tmp_path / "fairlead.yaml").write_text(tenants_config(port, more="tenants: {acme: {}}\n"))
        with serving("--config", str(tmp_path / "fairlead.yaml"), data=tmp_path) as family:
            heard = [tell(family, texts, stream) for stream in (False, True) * 20]
            family.until(lambda: sum(line["event"] == "request" for line in family.lines) == 40, "lines are missing")
            sinks.take("metrics", *fetch(f"{family.admin}/metrics"))
            sinks.take("health", *fetch(f"{family.admin}/healthz"))
        sinks.take("log", "".join(family.raw))
    sinks.take_files(tmp_path / "projections")
    assert any(traces(answer, texts) == ["prompt"] for answer in heard)
    assert sinks.leaks() == {}
    sinks.take_files(tmp_path / "journal")
    assert {leak for leaks in sinks.leaks().values() for leak in leaks} == {"person", "note"}, "who asked is recorded"


def tell(family: Family, texts: Mapping[str, str], stream: bool) -> bytes:
    """Asks with a text, a user and metadata; what the client gets, as far as it comes."""
    said = {"role": "user", "content": f"this is {texts['prompt']}"}
    body = json.dumps({"model": "chat", "messages": [said], "user": texts["person"], "stream": stream}).encode()
    note = json.dumps({"note": texts["note"]})
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "x-fairlead-metadata": note}
    try:
        return fetch(f"{family.url}/v1/chat/completions", body, headers)[2]
    except IncompleteRead as broken:
        return broken.partial


SHARED = f"""
server: {{drain: 1s}}
database: env://DATABASE
pepper: {CANARIES["pepper-of-all-machines"]}
tiers: {{big: {{requests: {{limit: 1000, per: 1h}}, budget: {{limit: 10 USD, per: 1mo}}}}}}
tenants: {{acme: {{tier: big}}}}
"""


def shared_config(provider: int, state: str) -> str:
    return f"""{SHARED}
state: "{state}"
providers: {{fake: {{kind: openai, base_url: "http://127.0.0.1:{provider}/v1", api_key: {CANARIES["literal"]}}}}}
routes: [{{model: chat, deployments: [{{use: fake/m, price: {{input: "1", output: "2"}}, max_output: 2k}}]}}]
keys: [{{name: one, tenant: acme, key: "{CANARIES["client"]}"}}]
"""


def with_password(url: str, password: str) -> str:
    """The URL, with this password in the place of the one that it has."""
    user = url.split("//")[1].split(":", maxsplit=1)[0]
    return f"{url.split('//', maxsplit=1)[0]}//{user}:{urllib.parse.quote(password, safe='')}@{url.split('@')[1]}"


def key_life(family: Family, sinks: Sinks) -> None:
    """A key is made, used, listed, rotated, revoked and used again."""
    made = admin(family, "keys", {"name": "minted", "tenant": "acme"})
    name = sinks.minted(made["key"])
    family.until(lambda: family.chat(key=made["key"])[0] == 200, "the new key is not known")
    turned = admin(family, f"keys/{name}/rotate", {})
    sinks.minted(turned["key"].replace(f"_{name}_", f"_{name}2_"))
    for path in ("keys", f"keys/{name}", f"keys/{name}/limits", "tenants/acme"):
        sinks.take(f"admin {path}", json.dumps(admin(family, path)))
    for wrong in ({"name": turned["key"] * 9}, {"name": "x", "tenant": made["key"]}, {"key": turned["key"]}):
        text = json.dumps(wrong).encode()
        sinks.take(f"admin refuses {list(wrong)}", *fetch(f"{family.admin}/admin/v1/keys", text)[::2])
    sinks.take("revoked", json.dumps(admin(family, f"keys/{name}/revoke", {})))
    family.until(lambda: family.chat(key=turned["key"])[0] == 401, "the revoked key is good")
    for key in (made["key"], turned["key"], turned["key"][:-1], CANARIES["stranger"]):
        sinks.take(f"answer {len(sinks.texts)}", *family.chat(key=key))


def test_no_secret_of_what_machines_share_and_no_key_is_in_any_sink(tmp_path: Path, provider: int) -> None:
    """The passwords of state and database, the pepper, and keys made at run time; both servers fail."""
    sinks = Sinks()
    data = tmp_path / "data"
    data.mkdir()
    file = tmp_path / "fairlead.yaml"
    take(provider, CANARIES["literal"])
    with postgres() as database, valkey(tmp_path / "valkey") as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "ann", "on", f">{CANARIES['state']}", "~*", "+@all")
        state = with_password(f"valkey://ann:x@127.0.0.1:{server.port}", CANARIES["state"])
        url = with_password(database.new_database(), CANARIES["database"])
        environ = {"DATABASE": url}
        file.write_text(shared_config(provider, state))
        words = ("--config", str(file), "--data", str(data))
        command(sinks, tmp_path, environ, "migrate", *words)
        with serving("--config", str(file), data=data, environ=environ) as family:
            key_life(family, sinks)
            server.kill()
            sinks.take("without state", *family.chat(key=CANARIES["client"]), health(family))
            family.event("state_degraded")
            database.stop()
            family.event("projection_down")
            sinks.take("without database", *fetch(f"{family.admin}/admin/v1/keys"), health(family))
            file.write_text(shared_config(provider, f"valkei://ann:{CANARIES['bad']}@h"))
            family.event("config_rejected")
            sinks.take("health", health(family))
        command(sinks, tmp_path, environ, "keys", "list", *words)
        command(sinks, tmp_path, {"DATABASE": url.replace("postgresql", "postgre")}, "check", *words[:2])
        sinks.take("log", "".join(family.raw))
        database.start()
        sinks.take("database", *rows_of(Place(data=data, url=url)))
    sinks.take_files(data)
    assert b"minted" in sinks.texts["database"]
    assert any("state_degraded" in line for line in family.raw)
    assert sinks.leaks() == {}


def rows_of(place: Place) -> list[str]:
    """Everything that the database holds."""
    database = Database(place)
    with database.reading() as connection:
        found = [str(row) for table in metadata.tables.values() for row in connection.execute(select(table))]
    database.close()
    return found


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    sinks = Sinks()
    (tmp_path / "key").write_text(CANARIES["file"])
    (tmp_path / "fairlead.yaml").write_text(config(1, "http://127.0.0.1:9", tmp_path))
    fetched = Fetched(
        {"vault://secret/data/llm#vault": CANARIES["vault"], "vault://secret/data/keys#admin": CANARIES["admin"],
         "vault://secret/data/keys#client": CANARIES["clientvault"]}
    )  # fmt: skip
    environ = {"CANARY_ENV": CANARIES["env"], "ROLE_ID": CANARIES["roleid"]}
    loaded = load(str(tmp_path / "fairlead.yaml"), environ, fetched=fetched)
    assert loaded.snapshot is not None
    assert set(loaded.snapshot.secrets) == {"by-env", "by-file", "by-vault", "by-text"}
    assert loaded.admin_key == CANARIES["admin"]
    config_post = ConfigPost(
        watched=(),
        compile=lambda _: loaded,
        first=loaded.snapshot,
        machine=Machine(environ=environ),
        keepsake=Keepsake(4096),
    )
    tenancy = TenancyPost(
        place=Place(data=tmp_path, url=loaded.database), index=tmp_path, limits=tmp_path, journals=tmp_path, machine="m"
    )
    post = Post(
        host="h",
        port=1,
        socket=tmp_path,
        lifeline=0,
        projections=tmp_path,
        admin_key=loaded.admin_key,
        config=config_post,
        tenancy=tenancy,
        audit=AuditPost(folder=tmp_path, private=tmp_path, machine="m"),
    )
    kept = Kept(loaded.snapshot, dict(fetched.values))
    for thing in (
        loaded,
        loaded.config,
        loaded.snapshot,
        fetched,
        post,
        config_post,
        tenancy,
        kept,
        config_post.machine,
        loaded.problems,
    ):
        sinks.take(type(thing).__name__, repr(thing), str(thing), f"{[thing]}")
    assert "vault://secret/data/llm#vault" in repr(loaded.config)
    assert sinks.leaks() == {}
