"""How people write faults: every text that is one means one thing, and every other is told what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.canonical.errors import KINDS
from fairlead.simulator.faults import FAULTS, SLOWER, Struck, fault, parse

MAY_ASK = [name for name, one in FAULTS.items() if one.status in {429, 503}]


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, Struck]:
    """A fault as it is written, and what it means."""
    name = draw(st.sampled_from(sorted(FAULTS)))
    if name in MAY_ASK and draw(st.booleans()):
        name = f"{name}:{draw(st.integers(0, 1000))}"
    rate = draw(st.integers(0, 30)) / 100
    if name != "slow":
        return f"{name}={rate}", Struck(name, fault(name), rate)
    times = draw(st.sampled_from([None, 1.01, 2.5, 30.0]))
    written = "" if times is None else f"x{times}"
    return f"slow={rate}{written}", Struck("slow", FAULTS["slow"], rate, times or SLOWER)


@given(st.lists(entries(), max_size=3, unique_by=lambda entry: entry[1].name), st.sampled_from([",", ", ", " ,\t"]))
def test_what_is_written_is_what_is_meant(written: list[tuple[str, Struck]], comma: str) -> None:
    assert parse(comma.join(text for text, _ in written)) == tuple(struck for _, struck in written)


def test_every_fault_is_a_kind_of_failure_or_has_none_to_be() -> None:
    for name, one in FAULTS.items():
        assert (one.kind in KINDS) or one.stage == "slowness", name


def test_rates_may_be_percentages() -> None:
    assert parse("429=5%,slow=0.5%x4") == parse("429=0.05,slow=0.005x4")


def test_seconds_are_the_providers_retry_after() -> None:
    assert fault("429").retry_after == 1.0
    assert fault("429:7").retry_after == 7.0
    assert fault("503:0.5").retry_after == 0.5
    assert fault("503").retry_after is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("429", "'429' is not NAME=RATE, such as 429=0.05"),
        ("409=0.1", "there is no fault '409'; did you mean '429'?"),
        ("zzz=0.1", f"there is no fault 'zzz'; known here: {', '.join(FAULTS)}"),
        ("timeout:3=0.1", "'timeout:3': only 429 and 503 say when to come back"),
        ("429:soon=0.1", "the seconds of '429:soon' is 'soon', which is no number"),
        ("429:-1=0.1", "the seconds of '429:-1' is -1; it is 0 or more, and below 1e9"),
        ("429=often", "the rate of '429' is 'often', which is no number"),
        ("429=nan", "the rate of '429' is 'nan', which is no number"),
        ("429=-0.1", "the rate of '429' is -0.1; it is a share of all attempts, so from 0 to 1, or up to 100%"),
        ("429=5", "the rate of '429' is 5; it is a share of all attempts, so from 0 to 1, or up to 100%"),
        ("429=0.1,503=0.1,429=0.2", "'429=0.1,503=0.1,429=0.2' has two rates of '429'; write one"),
        ("429=0.1x3", "'429=0.1x3': only 'slow' takes a factor"),
        ("slow=0.1x", "the factor of 'slow' is '', which is no number"),
        ("slow=0.1x0.5", "the factor of 'slow' is 0.5; it is 1 or more, and below 1e9"),
        ("slow=0.1x1", "'slow=0.1x1' is no slower; write a factor above 1"),
        (
            "429=0.6,503=0.6",
            "the rates of '429=0.6,503=0.6' add up to 1.2; they are shares of all attempts, so at most to 1",
        ),
    ],
)
def test_what_cannot_be_is_told(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        parse(text)
    assert str(told.value) == sentence
