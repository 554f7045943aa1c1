"""Difficulty: a named player tries each proved task, and what it always or never solves is no task."""

import asyncio
import dataclasses
from collections import Counter

import pytest

from veriloop.core.errors import InputError, PlayerError
from veriloop.core.message import Message
from veriloop.engine.difficulty import Difficulty, Trial
from veriloop.engine.fitness import measure_fitness
from veriloop.engine.plan import Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.stream import drop_duplicate, make_item
from veriloop.engine.synthesis import ScriptedSynthesiser
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import find_solver, run_synthesis
from veriloop.rollout.baseline import Noop
from veriloop.rollout.experts import load_expert
from veriloop.store.result import count_stages
from veriloop.store.run import open_run


class Sometimes:
    """An expert in the dialogues it has a mind to, useless in all others. mind: number of the dialogue -> bool."""

    name = "sometimes"

    def __init__(self, mind=lambda number: True, breaks=lambda number: False):
        self._mind, self._breaks = mind, breaks
        self._expert, self._noop = load_expert("parcel"), Noop()
        self._numbers: dict[int, int] = {}
        self.batches = Counter[int]()

    def reply(self, views):
        self.batches[len(views)] += 1
        return [self._answer(view) for view in views]

    def _answer(self, view) -> Message:
        number = self._numbers.setdefault(view.seed, len(self._numbers))
        if self._breaks(number):
            raise PlayerError("out of memory")
        return (self._expert if self._mind(number) else self._noop).reply([view])[0]


class Slowly(Sometimes):
    """The same, asked one by one as an endpoint is."""

    async def reply_async(self, view):
        await asyncio.sleep(0)
        return self.reply([view])[0]


def order(number=0):
    return Order(seed=41, item=number)


def make(bench, trial, number=0, workflow=None):
    pair = write_plans(bench.domain)[0]
    pair = pair.model_copy(update={"synthesis": pair.synthesis.model_copy(update={"tiers": {"single": 1.0}})})
    bench = dataclasses.replace(bench, trial=trial)
    return asyncio.run(make_item(bench, pair, workflow or Workflow(attempts=3), order(number), lambda _: False))


@pytest.mark.parametrize("player", [Sometimes, Slowly])
@pytest.mark.parametrize("passes", [0, 1, 3, 4])
def test_the_rate_is_the_share_of_dialogues_that_pass(bench, player, passes):
    trial = Trial(player(lambda number: number < passes), band=(0.0, 1.0))
    item = make(bench, trial)
    assert item.accepted
    assert item.difficulty == Difficulty(solver="sometimes", passed=passes, tried=4)
    assert item.difficulty.rate == passes / 4


def test_players_who_take_many_views_are_asked_all_at_once(bench):
    solver = Sometimes()
    assert make(bench, Trial(solver, band=(0.0, 1.0), dialogues=6)).accepted
    assert max(solver.batches) == 6


@pytest.mark.parametrize(
    ("passed", "tried", "said"),
    [
        (0, 4, "too hard: x solves it in 0 of 4 dialogues, wanted is a share from 0.25 to 0.75"),
        (1, 4, None),
        (3, 4, None),
        (4, 4, "too easy: x solves it in 4 of 4 dialogues, wanted is a share from 0.25 to 0.75"),
        (0, 0, "no dialogue with x could be judged, so its difficulty is unknown"),
    ],
)
def test_bounds_belong_to_the_band(passed, tried, said):
    trial = Trial(Noop(), band=(0.25, 0.75))
    assert trial.find_problem(Difficulty(solver="x", passed=passed, tried=tried)) == said


def test_void_dialogues_say_nothing(bench):
    trial = Trial(Slowly(lambda number: number == 0, breaks=lambda number: number > 1), band=(0.5, 0.5))
    found = make(bench, trial).difficulty
    assert (found.passed, found.tried) == (1, 2)
    item = make(bench, Trial(Slowly(breaks=lambda _: True)))
    assert not item.accepted and "could not be judged" not in item.rejections[-1].reason
    assert item.rejections[-1].reason.startswith("no dialogue with sometimes could be judged")


@pytest.mark.parametrize(("solver", "what"), [(Noop(), "hard"), (load_expert("parcel"), "easy")])
def test_what_is_too_hard_or_too_easy_is_no_task(bench, solver, what):
    item = make(bench, Trial(solver))
    assert not item.accepted and item.difficulty is None and item.task is None
    stages = [rejection.stage for rejection in item.rejections]
    assert stages.count("difficulty") >= 1 and set(stages) <= {"difficulty", "synth", "proof"}
    last = next(rejection for rejection in item.rejections if rejection.stage == "difficulty")
    assert last.reason.startswith(f"too {what}: ") and last.tools and last.tier == "single"


def test_whoever_drafts_is_told_and_may_mend(bench):
    told = list[tuple[str, ...]]()

    class Mending:
        def start(self, domain, pair, order):
            first = ScriptedSynthesiser().start(domain, pair, order)
            second = ScriptedSynthesiser().start(domain, pair, dataclasses.replace(order, item=order.item + 1))

            class Drafting:
                async def draft(self, problems):
                    told.append(tuple(problems))
                    return await (second if problems else first).draft(())

            return Drafting()

    mending = dataclasses.replace(bench, synthesiser=Mending())
    item = make(mending, Trial(Sometimes(lambda number: number >= 4), band=(1.0, 1.0)))
    assert item.accepted and told[0] == ()
    assert told[1][0].startswith("too hard: sometimes solves it in 0 of 4")
    assert (item.rejections[0].stage, item.rejections[0].repair) == ("difficulty", 0)


def test_nobody_tries_what_was_not_verified(bench):
    unverified = dataclasses.replace(bench, verify=False)
    assert make(unverified, Trial(Noop())).accepted


def test_a_duplicate_takes_its_difficulty_along(bench):
    item = make(bench, Trial(Noop(), band=(0.0, 1.0)))
    assert item.difficulty and drop_duplicate(item).difficulty is None


def test_the_share_in_the_band_is_part_of_the_fitness(bench, parcel):
    reach = find_reach(parcel)
    workflow = Workflow(attempts=1)
    kept = [make(bench, None, number, workflow) for number in range(8)]
    # Each task has four dialogues: all pass for every second task, none for the others.
    half = Sometimes(lambda number: number // 4 % 2 == 0)
    tried = [make(bench, Trial(half, band=(0.9, 1.0)), number, workflow) for number in range(8)]
    before, after = measure_fitness(reach, kept), measure_fitness(reach, tried)
    assert 0.3 * before.verified_yield < after.verified_yield < 0.7 * before.verified_yield
    assert after.value < before.value


class TestRuns:
    def test_a_run_keeps_how_hard_its_tasks_are(self, tmp_path):
        config = SynthConfig(n=4, rounds=0, evolve=False, solver="expert", band=(0.5, 1.0), trials=2)
        result = run_synthesis("parcel", tmp_path / "run", config)
        assert (result.proved, result.solved) == (4, 1.0)
        with open_run(tmp_path / "run") as run:
            found = [entry.payload for entry in run.ledger.entries("difficulty")]
            assert found == [{"solver": "expert", "passed": 2, "tried": 2}] * 4
            assert count_stages(run)["difficulty"] == {"done": 4}
        again = run_synthesis("parcel", tmp_path / "run", config, resume=True)
        assert again.model_copy(update={"seconds": 0}) == result.model_copy(update={"seconds": 0})

    def test_a_run_without_a_solver_says_nothing_of_it(self, tmp_path):
        config = SynthConfig(n=2, rounds=0, evolve=False)
        assert run_synthesis("parcel", tmp_path / "run", config).solved is None

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"solver": "oracle"}, "sees the gold"),
            ({"solver": "gold"}, "sees the gold"),
            ({"solver": "openai:m"}, r"\[solver\]"),
            ({"solver": "exprt"}, "did you mean 'expert'"),
            ({"solver": "expert", "band": (0.9, 0.2)}, "no band"),
            ({"solver": "expert", "band": (0.2, 1.2)}, "no band"),
            ({"solver": "expert", "roles": {"solver": {"model": "m", "base_url": "http://127.0.0.1:9/v1"}}}, "two"),
        ],
    )
    def test_bad_settings_write_nothing(self, tmp_path, changes, said):
        with pytest.raises(InputError, match=said):
            run_synthesis("parcel", tmp_path / "run", SynthConfig(n=2, **changes))
        assert not (tmp_path / "run").exists()

    def test_nobody_solves_by_default(self, parcel):
        assert find_solver(parcel, SynthConfig(n=1)) is None
