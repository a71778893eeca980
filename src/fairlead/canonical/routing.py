"""Where a request can go, what an attempt came to, and the record that a request leaves.

It knows deployments, routes and outcomes as values. It must not know how a choice is made (policy) nor how bytes
travel (http, gateway).
"""

from typing import Literal

import msgspec

from fairlead.canonical.errors import OnWord
from fairlead.canonical.tenants import Issuer, Scoped, Tenant, Tier, VirtualKey
from fairlead.canonical.usage import SELF_HOSTED, Price, Usage

Select = Literal["weighted", "round_robin", "priority", "least_busy", "latency", "cost", "sticky"]
Auth = Literal["bearer", "x-api-key", "api-key", "none"]
Jitter = Literal["full", "none"]
Ended = Literal["finished", "cut", "client_gone", "refused", "failed", "lost"]
"""`lost`: its worker died; what it held was counted as used."""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """Provider + model id + endpoint + credential: what an attempt is made on."""

    name: str
    """`provider/model`, as the configuration and `x-fairlead-deployment` have it."""
    provider: str
    model: str
    """The provider's model id."""
    dialect: str
    base_url: str
    """Without a trailing slash; the dialect adds its operation's path."""
    auth: Auth = "bearer"
    credential: str = ""
    """The name of the credential in `Snapshot.secrets`; empty: none needed."""
    headers: tuple[tuple[str, str], ...] = ()
    api_version: str | None = None
    ca: str | None = None
    client_cert: str | None = None
    proxy: str | None = None
    max_connections: int = 512
    region: str | None = None
    self_hosted: bool = False
    price: Price | None = None
    context: int | None = None
    """Tokens; None: unknown."""
    max_output: int | None = None
    tools: bool | None = None
    vision: bool | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a model that a wildcard may stand for."""

    price: Price | None = None
    context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    vision: bool | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's place in a route. Choices of rank 0 are tried before those of rank 1, and so on."""

    deployment: Deployment
    weight: float = 1.0
    rank: int = 0


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: the wait before further attempt n (from 0) is drawn from [0, min(cap, base * 2**n)]."""

    base: float = 0.2
    cap: float = 8.0
    jitter: Jitter = "full"


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    attempts: int = 1
    """Further attempts on the same deployment; 0: none."""
    max_attempts: int = 6
    """All attempts of a request, over all deployments."""
    backoff: Backoff = Backoff()
    on: frozenset[OnWord] = frozenset({"429", "5xx", "timeout", "connect"})
    budget: float = 0.1
    """Retries that a deployment may receive, as a share of its first attempts."""


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. `total` is one deadline over everything that a request causes."""

    total: float = 600.0
    connect: float = 5.0
    first_token: float = 120.0
    idle: float = 60.0


class Cooldown(msgspec.Struct, frozen=True, kw_only=True):
    after: int = 3
    """Failures in a row, or half of a window's calls (see policy.health)."""
    duration: float = 30.0
    """Seconds (`for` in the configuration)."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    """What clients ask for; a trailing `*` matches any rest."""
    choices: tuple[Choice, ...]
    """In the order of their ranks."""
    select: Select = "weighted"
    retry: Retry = Retry()
    fallback: frozenset[OnWord] = frozenset({"429", "5xx", "timeout", "connect", "auth"})
    """The failures after which another deployment is tried."""
    timeouts: Timeouts = Timeouts()
    cooldown: Cooldown = Cooldown()


class Sharing(msgspec.Struct, frozen=True, kw_only=True):
    """Where limits and budgets are counted. The URL may hold a password."""

    state: str = "local"
    instances: int = 1
    """Machines that share the state."""
    float: int = 1_000_000
    """Millionths of a dollar that each budget may spend on one machine while the state cannot be reached."""

    def __repr__(self) -> str:
        return f"Sharing({self.state.partition(':')[0]})"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The proxy port's own settings; sizes in bytes, times in seconds."""

    host: str = "127.0.0.1"
    port: int = 4000
    workers: int = 1
    max_body: int = 32 * 1024 * 1024
    drain: float = 600.0
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    keep_alive: float = 75.0
    tls_cert: str | None = None
    tls_key: str | None = None


class Journaling(msgspec.Struct, frozen=True, kw_only=True):
    """How workers keep their journals; sizes in bytes, times in seconds."""

    sync: float = 0.05
    """How old a record may get before it is forced to the disk; 0: before its answer ends."""
    segment: int = 64 * 1024 * 1024
    """The size at which a new file is begun."""
    rotate: float = 3600.0
    """The age at which a new file is begun."""
    max_size: int = 1024 * 1024 * 1024
    """What all files of the machine may take together; beyond it requests are refused."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable configuration, compiled: all that a worker needs to know.

    `keys` maps the hex HMAC-SHA256 of a client's key under `pepper` to what it stands for; it has only those of the
    file. `secrets` maps a credential's name to its value and must never be printed; one that is missing has not
    resolved.
    """

    version: str
    routes: tuple[Route, ...]
    keys: dict[str, VirtualKey] = {}
    pepper: bytes = b""
    old_pepper: bytes = b""
    """The one before, under which keys that were made earlier are still found; empty: none."""
    tiers: dict[str, Tier] = {}
    tenants: dict[str, Tenant] = {}
    scoped: tuple[Scoped, ...] = ()
    sharing: Sharing = Sharing()
    secrets: dict[str, str] = {}
    server: Server = Server()
    journal: Journaling = Journaling()
    tracing: bool = False
    """Whether somebody takes traces: then every request has one, else only those whose caller began it."""
    content: bool = False
    """Whether prompts and answers are recorded where a tenant does not say."""
    issuers: tuple[Issuer, ...] = ()
    facts: dict[str, dict[str, Facts]] = {}
    """By provider and model id: what the catalog knows of models behind wildcards."""
    open: bool = False
    """True: no keys and no issuers are configured, on loopback; callers need no key as long as none is made."""

    def __repr__(self) -> str:
        return f"Snapshot({self.version}, {len(self.routes)} routes, {len(self.keys)} keys)"


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """A command: make an attempt on `deployment`, no earlier than `start_at`, and be done by `deadline`."""

    choice: Choice
    number: int
    """From 0, over the whole request."""
    start_at: float
    deadline: float
    """The instant at which the whole request's time is up."""

    @property
    def deployment(self) -> Deployment:
        return self.choice.deployment


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt's first event is here (or its whole answer): from now on nothing is retried."""

    at: float
    first_token: float = 0.0
    """Seconds from the attempt's start to its first event."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt gave nothing that a client may see."""

    at: float
    kind: str
    """A row of KINDS."""
    status: int | None = None
    retry_after: float | None = None
    """Seconds from `at`, as the provider asked."""
    message: str = ""
    """Safe to show to the client; empty where nothing of the provider's may be shown."""
    code: str | None = None
    param: str | None = None
    reason: str = ""
    """For the operator's log, in our own words."""


Outcome = Answered | Failed


class Skipped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A deployment that was considered and not used, and why."""

    deployment: str
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """What a guardrail said of a request."""

    guardrail: str
    stage: Literal["input", "output"]
    action: Literal["pass", "redact", "block"]
    reason: str = ""
    """In our own words, without the text that it is about."""


class Trace(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """A request's place in a distributed trace (W3C Trace Context), all ids in lower-case hex."""

    trace_id: str
    span_id: str
    """The span of the request itself."""
    parent_id: str = ""
    """The caller's span; empty: the trace begins here."""
    sampled: bool = True
    state: str = ""
    """The caller's `tracestate`, as it is."""


class Latency(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """Where a request's wall time went, in seconds. The parts are measured apart and sum to its `duration`."""

    body: float = 0.0
    """The client's body arriving."""
    queue: float = 0.0
    """Waiting for the shared state of limits, and the pauses before attempts."""
    guardrails: float = 0.0
    connect: float = 0.0
    """Waiting for connections to providers, those of failed attempts included."""
    first_token: float = 0.0
    """Providers working: from a request sent to the first event of its answer, or to its failure."""
    answer: float = 0.0
    """The rest of a stream, from its first event to its end."""
    gateway: float = 0.0
    """The gateway itself."""


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """The texts of a request, kept where its tenant wants that; redacted as its guardrails say."""

    prompt: str = ""
    answer: str = ""


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One attempt, for the record. Times in seconds; `started_at` counts from the request's start."""

    deployment: str
    started_at: float
    duration: float
    outcome: str
    """`answered`, a row of KINDS, or `client_gone`: nobody waited any more for what it would come to."""
    status: int | None = None
    retry_after: float | None = None
    connect: float = 0.0
    """The part of `duration` in which it waited for a connection."""
    usage: Usage | None = None
    """What a failed attempt is likely to have used that its provider may charge, as estimated. What the answer used is
    the record's own.
    """
    cost: str | None = None
    """US dollars as a decimal for that usage; None: no price is known, or there is nothing to charge."""
    span_id: str = ""
    """Its span in the request's trace; empty: the request has no trace."""

    @property
    def label(self) -> str:
        """`deployment:status`, or the kind where no telling status came: an entry of `x-fairlead-attempts`."""
        telling = self.status is not None and (self.status != 200 or self.outcome == "answered")
        return f"{self.deployment}:{self.status if telling else self.outcome}"


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What one request leaves behind, written once when its books close. Times in seconds unless named otherwise."""

    id: str
    at: float
    """Unix seconds, when the request's head was complete."""
    tenant: str = ""
    key: str = ""
    operation: str = "chat"
    dialect: str = ""
    asked: str = ""
    """The model that the client asked for."""
    route: str = ""
    """The route's own name, which may be a wildcard; empty where none was found."""
    config: str = ""
    """The version of the configuration that the request was served under."""
    served: str = ""
    """The deployment that answered, or was about to when the client left; empty where none did."""
    wildcard: str = ""
    """Its name in the configuration where that is a wildcard, so that `served` has the model that was asked for."""
    stream: bool = False
    status: int = 0
    ended: Ended = "finished"
    code: str = ""
    """The CODES row that the client got; empty for an answer."""
    attempts: tuple[AttemptRecord, ...] = ()
    usage: Usage | None = None
    cost: str | None = None
    """US dollars as a decimal; None: no price is known or there is nothing to charge."""
    price: str = ""
    """The price table's version behind `cost`, or SELF_HOSTED."""
    first_token: float | None = None
    duration: float = 0.0
    user: str = ""
    """The end user, as the credential names it, or else the client."""
    tags: tuple[tuple[str, str], ...] = ()
    hold: str = ""
    """What the names of its holds on limits and budgets begin with; empty: it held nothing."""
    charged: int = 0
    """Millionths of a dollar by which it was counted in budgets."""
    estimated: bool = False
    """Whether the provider did not tell all of the usage, so that what was charged is an estimate."""
    limit: str = ""
    """The limit that refused it, in words."""
    overhead_us: int = 0
    """`latency.gateway` in millionths of a second."""
    latency: Latency = Latency()
    response_model: str = ""
    """The model that the provider says has answered."""
    chunks: int = 0
    """Pieces in which a stream came from the provider."""
    skipped: tuple[Skipped, ...] = ()
    """The route's other deployments, and why each was not tried."""
    limits: tuple[str, ...] = ()
    """The limits and budgets that it counted in, in words."""
    verdicts: tuple[Verdict, ...] = ()
    metadata: str = ""
    """The client's `x-fairlead-metadata`: a JSON object as it came; empty: none."""
    trace: Trace | None = None
    content: Content | None = None
    trimmed: bool = False
    """Whether it was larger than the room that it was promised, so that texts were cut."""

    @property
    def unpriced(self) -> bool:
        """Whether it used something of which nobody knows the price."""
        return self.usage is not None and self.cost is None and self.price != SELF_HOSTED

    @property
    def answered_at(self) -> float:
        """Unix seconds, when the request was over."""
        return self.at + self.duration
