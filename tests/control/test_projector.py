"""How a projection is driven, and what is known of it while it cannot go on."""

from collections.abc import Mapping
from pathlib import Path

from fairlead.control.projector import ProjectionError, Projector
from fairlead.journal.reader import Batch, Reader


class FakeReader(Reader):
    """A FAKE journal: one batch, again and again."""

    def beyond(self, positions: Mapping[str, int], *, at_ease: bool = False) -> object:  # type: ignore[override]
        start = positions.get("a.journal", 0)
        return iter([Batch("a.journal", start, start + 100, ())])

    def sizes(self) -> dict[str, int]:
        return {"a.journal": 1000}


class Moody:
    """A projection that takes what comes as long as it is well."""

    name = "moody"

    def __init__(self) -> None:
        self.is_well = True
        self.taken: dict[str, int] = {}

    def positions(self) -> Mapping[str, int]:
        return self.taken

    def take(self, batch: Batch) -> None:
        if not self.is_well:
            raise ProjectionError("moody")
        self.taken[batch.file] = batch.end


def known(projector: Projector) -> tuple[Mapping[str, int] | None, Mapping[str, int] | None]:
    return projector.positions, projector.reached


async def test_while_it_cannot_go_on_it_is_known_how_far_it_was(tmp_path: Path) -> None:
    """So that its lag is told when it matters most; whoever deletes files may not trust it then."""
    moody = Moody()
    projector = Projector(FakeReader(tmp_path), moody)
    assert known(projector) == (None, None)
    assert await projector.catch_up()
    assert known(projector) == ({"a.journal": 100}, {"a.journal": 100})
    moody.is_well = False
    for _ in range(2):
        assert not await projector.catch_up()
        assert known(projector) == (None, {"a.journal": 100})
        assert projector.trouble == "moody"
    moody.is_well = True
    assert await projector.catch_up()
    assert known(projector) == ({"a.journal": 200}, {"a.journal": 200})
    await projector.close()


async def test_one_that_never_went_is_nowhere(tmp_path: Path) -> None:
    moody = Moody()
    moody.is_well = False
    projector = Projector(FakeReader(tmp_path), moody)
    assert not await projector.catch_up()
    assert projector.reached == {}
    await projector.close()


async def test_one_that_is_down_from_the_start_is_where_it_was_before(tmp_path: Path) -> None:
    moody = Moody()
    moody.is_well, moody.taken = False, {"a.journal": 300}
    projector = Projector(FakeReader(tmp_path), moody)
    assert not await projector.catch_up()
    assert known(projector) == (None, {"a.journal": 300})
    await projector.close()
