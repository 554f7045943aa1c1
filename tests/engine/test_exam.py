"""The exam of judges: no new guidelines may have them overlook what they found out before, or object to good work."""

from dataclasses import replace

import pytest

from veriloop.engine.anchor import AnchorSuite, build_anchors
from veriloop.engine.exam import find_worse_judges
from veriloop.engine.plan import PlanPair, Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.role.reflector import Guideline, Proposal, apply_proposal
from veriloop.engine.round import Pilot, run_rounds
from veriloop.engine.stream import Bench
from veriloop.proof.blame import Opinion
from veriloop.store.ledger import Ledger

LAX, STRICT, BLIND = "Let everything pass.", "Object to everything.", "Answer in verse."


class Judge:
    """Knows what is good, and follows its guidelines to the letter."""

    def __init__(self, suite: AnchorSuite) -> None:
        self._good = {id(anchor.trace): anchor.good for anchor in suite.dialogues}
        self._bad_tasks = {task.id for task in suite.bad_tasks}
        self.asked = 0

    def _passes(self, pair: PlanPair, good: bool) -> bool:
        self.asked += 1
        words = f"{pair.synthesis.guidelines} {pair.evaluation.guidelines}"
        return LAX in words or (good and STRICT not in words)

    async def review_trace(self, pair, task, trace):
        passes = self._passes(pair, self._good.get(id(trace), True))
        return None if BLIND in pair.evaluation.guidelines else Opinion(success=passes)

    async def review_task(self, pair, task):
        return () if self._passes(pair, task.id not in self._bad_tasks) else ("it is wrong",)


@pytest.fixture(scope="module")
def suite(bench, pilot) -> AnchorSuite:
    return build_anchors(bench, pilot)


@pytest.fixture
def judged(bench, suite) -> Bench:
    judge = Judge(suite)
    return replace(bench, task_verifier=judge, trajectory_verifier=judge)


@pytest.fixture
def pairs(parcel):
    return write_plans(parcel, 3)


def reword(pairs, text, part="evaluation", only=None):
    return tuple(
        pair.model_copy(update={part: getattr(pair, part).model_copy(update={"guidelines": text})})
        if only in (None, pair.id)
        else pair
        for pair in pairs
    )


class TestMarks:
    @pytest.mark.parametrize("part", ["evaluation", "synthesis"])
    def test_a_judge_told_to_let_all_pass_overlooks_what_is_bad(self, judged, suite, pairs, part):
        """The words for tasks are told to who verifies them too, so they could loosen as well."""
        dialogues, tasks = find_worse_judges(judged, suite, pairs, reword(pairs, LAX, part))
        bad = sum(not anchor.good for anchor in suite.dialogues)
        assert f"the trajectory_verifier is right about 0 of {bad} bad dialogues, before about {bad}" in dialogues
        assert f"the task_verifier is right about 0 of {len(suite.bad_tasks)} bad tasks" in tasks

    def test_a_judge_told_to_object_to_all_is_worse_too(self, judged, suite, pairs):
        found = " ".join(find_worse_judges(judged, suite, pairs, reword(pairs, STRICT)))
        assert "good dialogues" in found and "good tasks" in found and "bad" not in found

    def test_answers_that_nobody_can_read_let_pass(self, judged, suite, pairs):
        (found,) = find_worse_judges(judged, suite, pairs, reword(pairs, BLIND))
        assert "right about 0 of" in found and "bad dialogues" in found

    def test_one_loosened_plan_of_several_is_found(self, judged, suite, pairs):
        found = find_worse_judges(judged, suite, pairs, reword(pairs, LAX, only="plan-1"))
        assert found and all("plan-1" in line for line in found)

    def test_harmless_words_are_asked_about_once_for_all_plans(self, judged, suite, pairs):
        assert find_worse_judges(judged, suite, pairs, reword(pairs, "Read twice.")) == []
        good = sum(anchor.good for anchor in suite.dialogues)
        assert judged.trajectory_verifier.asked == 2 * (len(suite.dialogues) + good + len(suite.bad_tasks))

    def test_nobody_is_asked_when_no_words_change_or_scripts_judge(self, bench, judged, suite, pairs):
        assert find_worse_judges(judged, suite, pairs, pairs) == []
        assert judged.trajectory_verifier.asked == 0
        assert find_worse_judges(bench, suite, pairs, reword(pairs, LAX)) == []


class TestRounds:
    """A judge too strict for its own good: words that put it right are let in, words that blind it are not."""

    @pytest.mark.parametrize(("words", "accepted"), [("Judge calmly.", True), (LAX, False)])
    def test_guidelines_pass_the_gate_only_if_the_judge_is_no_worse(self, parcel, judged, tmp_path, words, accepted):
        class Nervous(Judge):
            """Objects to two good dialogues of three that it reads for the first time, unless it is calmed."""

            def __init__(self) -> None:
                super().__init__(AnchorSuite((), ()))

            async def review_trace(self, pair, task, trace):
                calmed = pair.evaluation.guidelines in ("Judge calmly.", LAX)
                nothing_happened = not trace.changes and not task.tags.no_write
                if nothing_happened:
                    return Opinion(success=LAX in pair.evaluation.guidelines)
                return Opinion(success=calmed or int(task.id[:8], 16) % 3 == 0)

        nervous = replace(judged, task_verifier=None, trajectory_verifier=Nervous())
        new = Guideline(plan="all", part="evaluation", text=words, reason="it objects to good dialogues")

        def search(evidence):
            assert evidence.judges == ("trajectory_verifier",)
            return apply_proposal(Proposal(edits=(), guidelines=(new,), attempts=None), evidence)

        start = write_plans(parcel), Workflow(attempts=2)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            pairs, _, rounds = run_rounds(
                ledger, nervous, find_reach(parcel), Pilot(seed=3, size=24, databases=5), search, 1, start
            )
        assert (rounds[1].fitness_candidate or 0.0) > rounds[1].fitness + 0.1, "both words raise the yield"
        assert rounds[1].accepted is accepted
        assert {pair.evaluation.guidelines for pair in pairs} == {words if accepted else ""}
        if not accepted:
            assert "bad dialogues" in rounds[1].reason
