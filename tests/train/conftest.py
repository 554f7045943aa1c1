"""Dialogues of the small run and untrained models of the size `pico` made from them."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from veriloop.core.message import Message, Seat
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.local.model import LoadedModel
from veriloop.rollout.player import View
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run
from veriloop.train.data import Dialogue, prepare_model


@pytest.fixture(scope="session")
def dialogues(small_run: Path) -> list[Dialogue]:
    with open_run(small_run) as run:
        return [Dialogue(found.task, found.trace) for found in iter_dialogues(run, good=True)]


def make_pico(parcel: Domain, seat: Seat, dialogues: Sequence[Dialogue], seed: int = 0) -> LoadedModel:
    loaded = prepare_model("pico", parcel, seat, dialogues, seed)
    loaded.model.eval()
    return loaded


@pytest.fixture
def agent(parcel: Domain, dialogues: list[Dialogue]) -> LoadedModel:
    return make_pico(parcel, "agent", dialogues)


class Talker:
    """A user that says one line for ever, or what a function of the view gives."""

    name = "talker"

    def __init__(self, line: Message) -> None:
        self.line = line

    def reply(self, views: Sequence[View]) -> list[Message]:
        return [self.line for _ in views]


def judge_by_seed(task: Task, trace: Trace) -> Verdict:
    """A verdict that differs within most groups and depends on nothing but the dialogue's seed."""
    return Verdict(outcome=Outcome.PASS if trace.seed % 2 else Outcome.FAIL, reason="seed")
