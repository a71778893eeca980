"""What users may write in `fairlead.yaml`: every key with its type, default and meaning.

Frozen values only. It must not know YAML, nor what the gateway makes of a value: `compile` turns it into a Snapshot.
The JSON Schema and the documentation's tables are checked against this file.
"""

from typing import Annotated, ClassVar

from fairlead.canonical import routing
from fairlead.canonical.errors import OnWord
from fairlead.config.kinds import (
    Deploy,
    Doc,
    Flag,
    HeaderName,
    HeaderValue,
    ModelName,
    Name,
    Percent,
    SecretText,
    Section,
)
from fairlead.config.prices import Price
from fairlead.config.records import Audit, Journal, Observability
from fairlead.config.secrets import Secret
from fairlead.config.stores import DATABASE, LOCAL, STATE
from fairlead.config.tenancy import Issuer, Key, Outage, Scoped, Tenant, Tier
from fairlead.config.units import Address, AnyDuration, Count, Duration, Listen, Size, Text, Url, number, whole
from fairlead.config.vaults import Secrets

_SERVER = routing.Server()
_RETRY = routing.Retry()
_TIMEOUTS = routing.Timeouts()
_COOLDOWN = routing.Cooldown()
_ROUTE = routing.Route(model="", choices=())


class Tls(Section, frozen=True, kw_only=True):
    cert: Annotated[Text, Doc(description="Path of the certificate chain (PEM).")]
    key: Annotated[Text, Doc(description="Path of the private key (PEM).")]


class Server(Section, frozen=True, kw_only=True):
    listen: Annotated[Listen, Doc(description="Where clients connect.")] = Address(_SERVER.host, _SERVER.port)
    workers: Annotated[int, whole(1, 256), Doc(description="Worker processes.")] = _SERVER.workers
    max_body: Annotated[Size, Doc(description="The largest request body.")] = _SERVER.max_body
    drain: Annotated[
        AnyDuration, Doc(description="How long requests under way may go on once the gateway is told to stop.")
    ] = _SERVER.drain
    header_timeout: Annotated[Duration, Doc(description="How long a client may take to send a request's head.")] = (
        _SERVER.header_timeout
    )
    body_timeout: Annotated[
        Duration, Doc(description="How long a client may pause while it sends a request's body.")
    ] = _SERVER.body_timeout
    keep_alive: Annotated[Duration, Doc(description="How long an idle client connection stays open.")] = (
        _SERVER.keep_alive
    )
    tls: Annotated[Tls | None, Doc(description="Serve HTTPS with this certificate; unset: plain HTTP.")] = None


class Admin(Section, frozen=True, kw_only=True):
    listen: Annotated[Listen, Doc(description="Where the admin port listens.")] = Address("127.0.0.1", 4001)
    key: Annotated[
        SecretText | None,
        Doc(description="The bearer key of the admin port; without one it listens on loopback only."),
    ] = None


class Provider(Section, frozen=True, kw_only=True):
    kind: Annotated[
        Text | None,
        Doc(
            description="The catalog row to start from: `openai` or `anthropic` for a server of your own. "
            "Unset: the row with the provider's own name."
        ),
    ] = None
    base_url: Annotated[
        Url | None, Doc(description="Where the provider's API begins, `/v1` included. Unset: the catalog's.")
    ] = None
    api_key: Annotated[
        SecretText | None,
        Doc(description="The credential. Unset: the catalog row's environment variable, at the row's own URL only."),
    ] = None
    auth: Annotated[
        routing.Auth | None, Doc(description="How the credential is sent. Unset: as the catalog row says.")
    ] = None
    headers: Annotated[
        dict[HeaderName, HeaderValue], Doc(description="Further headers for every request to this provider.")
    ] = {}
    api_version: Annotated[Text | None, Doc(description="The provider's API version. Unset: the dialect's own.")] = None
    region: Annotated[Text | None, Doc(description="Where the provider processes data, such as `eu`.")] = None
    self_hosted: Annotated[
        Flag | None, Doc(description="Whether you run it yourself. Unset: as the catalog row says.")
    ] = None
    ca: Annotated[Text | None, Doc(description="Path of a CA bundle (PEM) to trust instead of the system's.")] = None
    client_cert: Annotated[Text | None, Doc(description="Path of a client certificate with its key (PEM).")] = None
    proxy: Annotated[Url | None, Doc(description="An HTTP proxy to go through.")] = None
    max_connections: Annotated[
        int, whole(1, 65535), Doc(description="The most connections that a worker opens to it.")
    ] = 512
    discount: Annotated[
        Percent | None, Doc(description="How much less it charges you than the catalog's prices say, such as 15%.")
    ] = None
    markup: Annotated[
        Percent | None, Doc(description="How much more it charges you than the catalog's prices say, such as 5.5%.")
    ] = None


class Deployment(Section, frozen=True, kw_only=True):
    shorthand: ClassVar[str | None] = "use"

    use: Annotated[Deploy, Doc(description="`provider/model`; `provider/*` in a wildcard route.")]
    weight: Annotated[
        float, number(0, 1_000_000), Doc(description="Its share among the deployments of the same priority.")
    ] = 1.0
    priority: Annotated[
        int, whole(1, 100), Doc(description="1 is tried first, 2 when no priority-1 deployment is left, and so on.")
    ] = 1
    price: Annotated[Price | None, Doc(description="What it costs. Unset: the catalog's price, if it has one.")] = None
    discount: Annotated[
        Percent | None, Doc(description="The same as the provider's, for this deployment and instead of it.")
    ] = None
    markup: Annotated[
        Percent | None, Doc(description="The same as the provider's, for this deployment and instead of it.")
    ] = None
    context: Annotated[Count | None, Doc(description="Tokens of context. Unset: the catalog's figure.")] = None
    max_output: Annotated[Count | None, Doc(description="The most output tokens. Unset: the catalog's figure.")] = None
    tools: Annotated[Flag | None, Doc(description="Whether it takes tools. Unset: as the catalog says.")] = None
    vision: Annotated[Flag | None, Doc(description="Whether it takes images. Unset: as the catalog says.")] = None


class Backoff(Section, frozen=True, kw_only=True):
    base: Annotated[Duration, Doc(description="The first wait; each further one may be twice as long.")] = (
        _RETRY.backoff.base
    )
    cap: Annotated[Duration, Doc(description="The longest wait.")] = _RETRY.backoff.cap
    jitter: Annotated[
        routing.Jitter, Doc(description="`full` draws each wait from zero to its bound; `none` waits for the bound.")
    ] = _RETRY.backoff.jitter


class Retry(Section, frozen=True, kw_only=True):
    attempts: Annotated[int, whole(0, 100), Doc(description="Further attempts on the same deployment; 0: none.")] = (
        _RETRY.attempts
    )
    max_attempts: Annotated[int, whole(1, 100), Doc(description="All attempts of a request, over all deployments.")] = (
        _RETRY.max_attempts
    )
    backoff: Annotated[Backoff, Doc(description="How long to wait between attempts on the same deployment.")] = (
        Backoff()
    )
    on: Annotated[
        frozenset[OnWord], Doc(description="The failures after which the same deployment is tried again.")
    ] = _RETRY.on
    budget: Annotated[
        float,
        number(0, 10),
        Doc(description="Retries that a deployment may receive, as a share of its first attempts."),
    ] = _RETRY.budget


class Fallback(Section, frozen=True, kw_only=True):
    on: Annotated[frozenset[OnWord], Doc(description="The failures after which another deployment is tried.")] = (
        _ROUTE.fallback
    )
    to: Annotated[
        tuple[ModelName, ...], Doc(description="Routes whose deployments are tried when this route's are used up.")
    ] = ()


class Timeout(Section, frozen=True, kw_only=True):
    total: Annotated[Duration, Doc(description="One deadline over everything that a request causes.")] = _TIMEOUTS.total
    connect: Annotated[Duration, Doc(description="For a connection to the provider, TLS included.")] = _TIMEOUTS.connect
    first_token: Annotated[
        Duration,
        Doc(description="For the first event of an answer. One that is not streamed begins when all of it is there."),
    ] = _TIMEOUTS.first_token
    idle: Annotated[Duration, Doc(description="Between two pieces of an answer.")] = _TIMEOUTS.idle


class Cooldown(Section, frozen=True, kw_only=True, rename={"duration": "for"}):
    after: Annotated[int, whole(1, 1000), Doc(description="Failures in a row that make a deployment rest.")] = (
        _COOLDOWN.after
    )
    duration: Annotated[Duration, Doc(description="How long it rests.")] = _COOLDOWN.duration


class Route(Section, frozen=True, kw_only=True):
    later: ClassVar[tuple[str, ...]] = ("guardrails",)

    model: Annotated[
        ModelName, Doc(description="What clients ask for; `gpt-*` matches any rest and passes the asked name on.")
    ]
    deployments: Annotated[
        tuple[Deployment, ...], Doc(description="What may answer: `provider/model` in short, or objects.")
    ]
    select: Annotated[routing.Select, Doc(description="How one of the deployments of the same priority is chosen.")] = (
        _ROUTE.select
    )
    retry: Annotated[Retry, Doc(description="Further attempts on the same deployment.")] = Retry()
    fallback: Annotated[Fallback, Doc(description="Attempts on other deployments.")] = Fallback()
    timeout: Annotated[Timeout, Doc(description="How long things may take.")] = Timeout()
    cooldown: Annotated[Cooldown, Doc(description="When a failing deployment is left alone.")] = Cooldown()


class Config(Section, frozen=True, kw_only=True):
    """All of `fairlead.yaml`."""

    later: ClassVar[tuple[str, ...]] = ("guardrails",)

    server: Annotated[Server, Doc(description="The proxy port.")] = Server()
    admin: Annotated[Admin, Doc(description="The admin port.")] = Admin()
    data: Annotated[Text, Doc(description="The directory of the journal and other files.")] = "./.fairlead"
    database: Annotated[
        Annotated[Secret, DATABASE] | None,
        Doc(description="Where keys and spending are kept: `postgresql://…`; `null`: a file under `data`."),
    ] = None
    state: Annotated[
        Annotated[Secret, STATE],
        Doc(description="Where limits and budgets are counted: `local` is this machine; `redis://…` or `valkey://…`."),
    ] = LOCAL
    outage: Annotated[Outage, Doc(description="What holds while a shared `state` cannot be reached.")] = Outage()
    pepper: Annotated[
        SecretText | None,
        Doc(description="What the MACs of client keys are made with: 32 characters or more. Unset: a file in `data`."),
    ] = None
    old_pepper: Annotated[
        SecretText | None, Doc(description="The pepper before this one, whose keys are still taken.")
    ] = None
    secrets: Annotated[Secrets, Doc(description="The stores that secrets are read from.")] = Secrets()
    journal: Annotated[Journal, Doc(description="The record of every request, on this machine's disk.")] = Journal()
    observability: Annotated[Observability, Doc(description="What is told of requests, and to whom.")] = Observability()
    audit: Annotated[Audit, Doc(description="The trail that nobody can change unseen.")] = Audit()
    providers: Annotated[dict[Name, Provider], Doc(description="Who can answer, by a name of your choice.")] = {}
    routes: Annotated[tuple[Route, ...], Doc(description="Model names and what answers for them.")] = ()
    tiers: Annotated[dict[Name, Tier], Doc(description="Sets of limits, by name.")] = {}
    tenants: Annotated[dict[Name, Tenant], Doc(description="Who pays, by name.")] = {}
    limits: Annotated[
        tuple[Scoped, ...], Doc(description="What else is limited: models, deployments, end users, tags, everything.")
    ] = ()
    keys: Annotated[
        tuple[Key, ...],
        Doc(description="The keys of clients, beside those made at run time. None at all: open, on loopback only."),
    ] = ()
    issuers: Annotated[
        tuple[Issuer, ...], Doc(description="Issuers (OpenID Connect) whose tokens are taken in the place of keys.")
    ] = ()
