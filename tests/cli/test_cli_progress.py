"""A bar on a terminal and nowhere else, after a second, and gone when the work is done."""

import io

import pytest

from fairlead.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_short_work_shows_nothing() -> None:
    to, clock = Terminal(), Clock()
    with Progress(1000, "requests", to=to, clock=clock) as bar:
        clock.now += 0.9
        bar.tell(500)
    assert to.getvalue() == ""


def test_long_work_shows_part_rate_and_time_left_and_leaves_nothing() -> None:
    to, clock = Terminal(), Clock()
    with Progress(10_000, "requests", to=to, clock=clock) as bar:
        clock.now += 2.0
        bar.tell(2_500)
        assert to.getvalue() == "\r\x1b[K 25% ██████░░░░░░░░░░░░░░░░░░ 1,250 requests/s, 0:06 left"
    assert to.getvalue().endswith("left\r\x1b[K")


def test_it_is_drawn_no_more_often_than_eyes_need() -> None:
    to, clock = Terminal(), Clock()
    with Progress(10_000, "requests", to=to, clock=clock) as bar:
        clock.now += 2.0
        for done in range(100):
            bar.tell(done)
        drawn = to.getvalue().count("\r")
    assert drawn == 1


def test_a_file_gets_nothing() -> None:
    to, clock = io.StringIO(), Clock()
    with Progress(1000, "requests", to=to, clock=clock) as bar:
        clock.now += 60.0
        bar.tell(500)
    assert to.getvalue() == ""


def test_hours_are_told_as_hours_and_what_has_not_begun_has_no_end() -> None:
    to, clock = Terminal(), Clock()
    with Progress(100, "runs", to=to, clock=clock) as bar:
        clock.now += 100.0
        bar.tell(0)
        assert "left" not in to.getvalue()
        clock.now += 100.0
        bar.tell(2)
    assert ", 2:43:20 left" in to.getvalue()


def test_the_bar_is_gone_after_an_error() -> None:
    to, clock = Terminal(), Clock()

    def work() -> None:
        with Progress(100, "runs", to=to, clock=clock) as bar:
            clock.now += 2.0
            bar.tell(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert to.getvalue().endswith("left\r\x1b[K")
