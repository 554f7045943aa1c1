"""A run stopped at any write to its ledger, and at several in a row, ends like one that never stopped."""

import pytest

from veriloop.core.errors import VeriloopError
from veriloop.engine.stream import Bench
from veriloop.engine.synthesize import SynthConfig, synthesize
from veriloop.pipeline.synthesis import make_bench
from veriloop.store.ledger import Ledger

CONFIG = SynthConfig(n=5, seed=17, pilot=2)
STAGES = ("synth", "accepted", "proof", "rollout:", "verdict:", "drafts", "pilot:", "held:", "archive:")


class PulledError(VeriloopError):
    """The plug is pulled."""


@pytest.fixture(scope="module")
def bench(parcel) -> Bench:
    return make_bench(parcel)


def contents(ledger):
    rows = [(e.item, e.stage, e.status, e.text) for stage in STAGES for e in ledger.entries(stage)]
    return rows, ledger.get_meta("plans"), ledger.get_meta("rounds")


class Fuse:
    """Lets so many writes through and raises at the next one."""

    def __init__(self, ledger: Ledger, writes: int) -> None:
        self.left, self.made = writes, 0
        self._put, self._meta = ledger.put, ledger.put_meta
        ledger.put, ledger.put_meta = self._guard(self._put), self._guard(self._meta)  # type: ignore[method-assign]

    def _guard(self, write):
        def guarded(*arguments, **options):
            if self.left <= 0:
                raise PulledError("pulled")
            self.left -= 1
            self.made += 1
            return write(*arguments, **options)

        return guarded


@pytest.fixture(scope="module")
def unbroken(bench, tmp_path_factory):
    with Ledger(tmp_path_factory.mktemp("unbroken") / "ledger.sqlite") as ledger:
        fuse = Fuse(ledger, 10_000)
        synthesize(ledger, bench, CONFIG)
        return contents(ledger), fuse.made


@pytest.mark.parametrize("share", [0.0, 0.1, 0.22, 0.3, 0.37, 0.5, 0.64, 0.81, 0.99])
def test_pulled_once_anywhere(bench, tmp_path, unbroken, share):
    whole, writes = unbroken
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        Fuse(ledger, int(share * writes))
        with pytest.raises(PulledError):
            synthesize(ledger, bench, CONFIG)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        synthesize(ledger, bench, CONFIG)
        assert contents(ledger) == whole


def test_pulled_again_and_again(bench, tmp_path, unbroken):
    """Whoever stops it every few writes needs more sittings, and gets the same in the end."""
    whole, writes = unbroken
    for sitting in range(writes):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            Fuse(ledger, 9)
            try:
                synthesize(ledger, bench, CONFIG)
            except PulledError:
                continue
        assert sitting > 2
        break
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert contents(ledger) == whole


def test_an_item_is_stored_whole_or_not_at_all(bench, tmp_path, unbroken):
    _, writes = unbroken
    for share in (0.45, 0.6, 0.75, 0.9):
        with Ledger(tmp_path / f"{share}.sqlite") as ledger:
            Fuse(ledger, int(share * writes))
            with pytest.raises(PulledError):
                synthesize(ledger, bench, CONFIG)
        with Ledger(tmp_path / f"{share}.sqlite") as ledger:
            done = {entry.item for entry in ledger.entries("drafts")}
            assert {entry.item for entry in ledger.entries("synth")} == done
            assert {entry.item for entry in ledger.entries("accepted")} <= done
            assert {entry.item for entry in ledger.entries("proof")} <= done
