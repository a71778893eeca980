"""The picture in docs/limits.md shows the algorithms as they are."""

from bench import limits_plot


def test_the_picture_is_what_the_code_draws() -> None:
    assert limits_plot.TARGET.read_text() == limits_plot.drawing(), "run python bench/limits_plot.py"


def test_the_windows_hold_and_the_others_exceed_them_as_documented() -> None:
    most = {
        name: limits_plot.most_in_a_window(limits_plot.admitted(algorithm, burst))
        for name, algorithm, burst in limits_plot.ROWS
    }
    assert most["sliding_window"] == most["sliding_log"] == 60
    assert most["sliding_window, burst 20"] == 80
    assert most["fixed_window"] == 120
    assert most["gcra"] <= 60
