"""What users may write in a scenario: how providers behave, what breaks when, and who asks for what.

Frozen values with their units, as in `fairlead.yaml`. It must not know the configuration, nor what a simulation makes
of a value.
"""

from typing import Annotated, ClassVar

from fairlead.config.kinds import Doc, Flag, ModelName, Name, Section
from fairlead.config.shape import ONE_OR_MANY
from fairlead.config.units import Count, Duration, Text, Unit, number, whole
from fairlead.simulator.faults import Struck, parse

Faults = Annotated[tuple[Struck, ...], Unit(name="line of faults, such as 429=0.05,slow=0.01x8", parse=parse)]


class Time(Section, frozen=True, kw_only=True):
    """A duration that is not always the same: log-normal by `median` and `p99`, or gamma by `mean` and `shape`."""

    shorthand: ClassVar[str | None] = "always"

    always: Annotated[Duration | None, Doc(description="Always this long.")] = None
    median: Annotated[Duration | None, Doc(description="Log-normal: half of them are shorter.")] = None
    p99: Annotated[Duration | None, Doc(description="Log-normal: one in a hundred is longer.")] = None
    mean: Annotated[Duration | None, Doc(description="Gamma: the mean.")] = None
    shape: Annotated[
        float | None,
        number(0.01, 1000),
        Doc(description="Gamma: 1 is the exponential distribution; larger is narrower. Unset: 1."),
    ] = None
    journal: Annotated[
        Text | None, Doc(description="A journal file, or a folder of them: as long as was measured there.")
    ] = None


class Tokens(Section, frozen=True, kw_only=True):
    """A number of tokens that is not always the same."""

    shorthand: ClassVar[str | None] = "always"

    always: Annotated[Count | None, Doc(description="Always so many.")] = None
    median: Annotated[Count | None, Doc(description="Log-normal: half have fewer.")] = None
    p99: Annotated[Count | None, Doc(description="Log-normal: one in a hundred has more.")] = None
    mean: Annotated[Count | None, Doc(description="Gamma: the mean.")] = None
    shape: Annotated[
        float | None, number(0.01, 1000), Doc(description="Gamma: the larger, the narrower. Unset: 1.")
    ] = None


class Quota(Section, frozen=True, kw_only=True):
    """The provider's own rate limit: what is over it gets 429 with the Retry-After that is true."""

    requests: Annotated[Count | None, Doc(description="Requests per period.")] = None
    tokens: Annotated[Count | None, Doc(description="Tokens of prompt and answer per period.")] = None
    per: Annotated[Duration, Doc(description="The period.")] = 60.0


class Provider(Section, frozen=True, kw_only=True):
    """How a provider behaves, or one of its deployments: what is unset there is as its provider has it. What is unset
    in both is a default of docs/simulator.md.
    """

    first_token: Annotated[Time | None, Doc(description="From the request to the first token.")] = None
    per_token: Annotated[Time | None, Doc(description="From one token to the next, the mean of an answer.")] = None
    refusal: Annotated[Time | None, Doc(description="From the request to an error.")] = None
    faults: Annotated[Faults | None, Doc(description="`NAME[:SECONDS]=RATE[xTIMES]`, as for `--faults`.")] = None
    quota: Annotated[Quota | None, Doc(description="Its rate limit. Unset: none.")] = None
    capacity: Annotated[
        Count | None, Doc(description="Requests that it works on at once; the others wait. Unset: no bound.")
    ] = None
    queue: Annotated[Count | None, Doc(description="Requests that may wait; the others get 503. Unset: no bound.")] = (
        None
    )


class Outage(Section, frozen=True, kw_only=True):
    """Times of trouble that come and go by chance (a two-state Markov process), for all of `of` together."""

    of: Annotated[
        tuple[Text, ...],
        ONE_OR_MANY,
        Doc(description="Providers, deployments (`provider/model`) and regions (`region:eu`) that it strikes."),
    ]
    every: Annotated[Duration, Doc(description="The mean time from the end of one to the next.")]
    lasting: Annotated[Duration, Doc(description="The mean time that one lasts.")]
    fault: Annotated[Text, Doc(description="What attempts get meanwhile; `slow` makes it a brown-out.")] = "503"
    times: Annotated[
        float | None, number(1, 1000), Doc(description="How much slower a brown-out is. Unset: 8 times.")
    ] = None
    share: Annotated[float, number(0, 1), Doc(description="The share of attempts that it strikes.")] = 1.0


class Bursts(Section, frozen=True, kw_only=True):
    """Times of more traffic that come and go by chance; the mean rate stays what it is."""

    every: Annotated[Duration, Doc(description="The mean time from the end of one to the next.")]
    lasting: Annotated[Duration, Doc(description="The mean time that one lasts.")]
    times: Annotated[float, number(0, 1000), Doc(description="How many times the rate between two it has.")]


class Day(Section, frozen=True, kw_only=True):
    """A sine over 24 hours whose mean is the usual rate."""

    low: Annotated[float, number(0, 1), Doc(description="The lowest rate, as a share of the mean.")] = 0.3
    peak: Annotated[float, number(0, 24), Doc(description="The hour (UTC) of the highest rate.")] = 14.0


class Load(Section, frozen=True, kw_only=True):
    """What one sender of requests asks for. Its name is that of a tenant or key, or one of your choice."""

    rps: Annotated[
        float | None,
        number(0, 1_000_000),
        Doc(description="Requests per second, the mean. Unset: an equal part of `--rps`."),
    ] = None
    tenant: Annotated[
        Name | None, Doc(description="Whose requests these are. Unset: the load's name, if it is one's.")
    ] = None
    key: Annotated[Name | None, Doc(description="By which key. Unset: the load's name, or the tenant's first key.")] = (
        None
    )
    model: Annotated[
        tuple[ModelName, ...], ONE_OR_MANY, Doc(description="What they ask for, by turns. Unset: every route.")
    ] = ()
    prompt: Annotated[Tokens | None, Doc(description="Tokens of a prompt.")] = None
    answer: Annotated[Tokens | None, Doc(description="Tokens of an answer.")] = None
    max_tokens: Annotated[
        Count | None, Doc(description="What requests say of the longest answer. Unset: they say nothing.")
    ] = None
    stream: Annotated[Flag, Doc(description="Whether answers are streams.")] = True
    user: Annotated[
        Count | None, Doc(description="Among how many end users they are divided. Unset: none are named.")
    ] = None
    bursts: Annotated[Bursts | None, Doc(description="Unset: none.")] = None
    day: Annotated[Day | None, Doc(description="Unset: the same rate all day.")] = None


class Scenario(Section, frozen=True, kw_only=True):
    """A scenario file."""

    providers: Annotated[
        dict[Text, Provider], Doc(description="By a provider's name, or a deployment's (`provider/model`).")
    ] = {}
    outages: Annotated[tuple[Outage, ...], Doc(description="What breaks or slows down for a while.")] = ()
    traffic: Annotated[
        dict[Name, Load], Doc(description="Who sends requests. Unset: every tenant, or else every key, alike.")
    ] = {}
    hour: Annotated[int, whole(0, 23), Doc(description="The hour (UTC) at which it begins, for `day`.")] = 0
