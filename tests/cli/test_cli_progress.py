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


def test_parts_of_the_work_follow_each_other() -> None:
    to, clock = Terminal(), Clock()
    with Progress(200, "requests", to=to, clock=clock) as bar:
        clock.now += 2.0
        bar.part(100)(100)
        clock.now += 2.0
        bar.part(100)(50)
    assert [told.split()[0] for told in to.getvalue().split("\r\x1b[K")[1:3]] == ["50%", "75%"]


def test_items_are_counted_as_they_pass() -> None:
    to, clock = Terminal(), Clock()
    with Progress(4, "records", to=to, clock=clock) as bar:
        for _ in bar.over("abcd"):
            clock.now += 2.0
    assert [told.split()[0] for told in to.getvalue().split("\r\x1b[K")[1:4]] == ["25%", "50%", "75%"]


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
