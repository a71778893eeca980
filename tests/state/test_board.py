"""Figures written in one process are read in another."""

import os

from fairlead.state.board import Board, Figures, is_ready


def test_a_row_written_by_a_child_is_read_by_its_parent() -> None:
    board = Board(3)
    figures = Figures(
        pid=7, seen_at=1.5, generation=2, connections=3, in_flight=4, requests=5, records=6, unrecorded=1, full=1
    )
    pid = os.fork()
    if not pid:
        board.write(1, figures)
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.all() == [Figures(), figures, Figures()]
    assert [is_ready(row) for row in board.all()] == [False, True, False]
    board.clear(1)
    assert board.read(1) == Figures()


def test_a_change_of_keys_told_by_one_process_is_seen_by_another() -> None:
    board = Board(2)
    board.write(1, Figures(pid=7, full=2**64 - 1))
    before = board.keys_generation
    pid = os.fork()
    if not pid:
        board.bump_keys()
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.keys_generation == before + 1
    assert board.read(1) == Figures(pid=7, full=2**64 - 1)
