"""The reflector as a model, against servers that play it well, badly, or not at all."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.core.errors import BudgetError, InputError, PlayerError
from veriloop.engine.evolution import Evidence, ProposalError
from veriloop.engine.plan import Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.role.model import RoleModel
from veriloop.engine.role.prompt import render_prompt
from veriloop.engine.role.reflector import (
    LINES,
    Edit,
    Guideline,
    Line,
    ModelReflector,
    Proposal,
    apply_proposal,
    find_problems,
)
from veriloop.engine.role.transcript import write_transcript
from veriloop.engine.stream import Failure
from veriloop.engine.synthesize import SynthConfig
from veriloop.engine.tally import count_failures, count_pilot
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.proof.blame import Blame, Fault
from veriloop.store.run import open_run


def edit(**changes: Any) -> dict[str, Any]:
    return {"plan": "all", "facet": "tools", "name": "hold_parcel", "factor": 2.0, "reason": "too few", **changes}


def say(*edits: dict[str, Any], attempts: int | None = None, **workflow: int) -> Any:
    return faulty.say({"content": json.dumps({"edits": edits, "attempts": attempts, **workflow})})


@pytest.fixture
def evidence(parcel, pilot) -> Evidence:
    history = ("Round 1: all: tools: hold_parcel by 3: too few. rolled back: no rise.",)
    return Evidence(find_reach(parcel), write_plans(parcel), Workflow(), tuple(pilot), history=history)


def ask(server: FaultyServer, parcel: Any, evidence: Evidence, **options: Any) -> Any:
    client = Client(Endpoint("m", server.base_url, retry=Retry(attempts=2, base=0.01)))
    return ModelReflector(client, parcel, **options)(evidence)


class TestAsking:
    def test_the_prompt_holds_the_evidence(self, parcel, evidence):
        with FaultyServer(say(edit())) as server:
            ask(server, parcel, evidence)
        prompt = server.requests[0][0]["messages"][0]["content"]
        for row in count_pilot(evidence):
            assert f"| {row.facet} | {row.name} | {row.wanted:.3f} |" in prompt
        for stage, reason, count in count_failures(evidence):
            assert f"- {stage}: {reason}, {count}" in prompt
        assert "No locker for more than 10 kg." in prompt
        assert evidence.history[0] in prompt
        assert all(pair.synthesis.guidelines in prompt for pair in evidence.pairs)

    def test_edits_become_weights_and_reasons(self, parcel, evidence):
        one = edit(plan="plan-1", facet="clauses", name="P9", factor=0.5, reason="too many")
        with FaultyServer(say(edit(), one, attempts=5, repairs=4, rollouts=3)) as server:
            candidate = ask(server, parcel, evidence)
        for before, after in zip(evidence.pairs, candidate.pairs, strict=True):
            assert after.synthesis.tools["hold_parcel"] == 2 * before.synthesis.tools["hold_parcel"]
            factor = 0.5 if before.id == "plan-1" else 1
            assert after.synthesis.clauses["P9"] == factor * before.synthesis.clauses["P9"]
            assert after.synthesis.tiers == before.synthesis.tiers
        assert candidate.workflow == Workflow(attempts=5, repairs=4, rollouts=3)
        assert candidate.reasons == (
            "all: tools: hold_parcel by 2: too few",
            "plan-1: clauses: P9 by 0.5: too many",
            "attempts change from 8 to 5",
            "repairs change from 2 to 4",
            "rollouts change from 1 to 3",
        )

    def test_names_that_do_not_exist_go_back_with_those_that_do(self, parcel, evidence):
        with FaultyServer(say(edit(name="fly"), edit(plan="plan-9")), say(edit())) as server:
            assert ask(server, parcel, evidence).reasons
        told = server.requests[1][0]["messages"][-1]["content"]
        assert "'fly' is none of the tools: " in told and "hold_parcel" in told
        assert "there is no 'plan-9'; name one of all, plan-0, plan-1" in told

    @pytest.mark.parametrize("wrong", [edit(factor=0), edit(factor=99), edit(facet="weather"), edit(reason=""), {}])
    def test_what_is_out_of_bounds_is_no_proposal(self, parcel, evidence, wrong):
        with FaultyServer(*[say(wrong)] * 5) as server, pytest.raises(ProposalError, match="no usable Proposal"):
            ask(server, parcel, evidence)
        assert len(server.requests) == 3

    def test_an_endpoint_that_is_down_is_no_opinion(self, parcel, evidence):
        with FaultyServer(*[faulty.status(500)] * 9) as server, pytest.raises(PlayerError):
            ask(server, parcel, evidence)

    def test_the_seed_is_the_rounds_own(self, parcel, evidence):
        with FaultyServer(say(edit())) as server:
            ask(server, parcel, evidence)
        assert server.requests[0][0]["seed"] == random.Random(0).randrange(2**31)


class TestProposals:
    def test_several_edits_of_one_weight_multiply(self, evidence):
        twice = Proposal(edits=(Edit(**edit()), Edit(**edit(factor=4.0))), attempts=None)
        candidate = apply_proposal(twice, evidence)
        before, after = (pairs[0].synthesis.tools["hold_parcel"] for pairs in (evidence.pairs, candidate.pairs))
        assert after == 8 * before

    def test_an_empty_one_changes_nothing_and_gives_no_reason(self, evidence):
        for proposal in (
            Proposal(edits=(), attempts=None),
            Proposal(edits=(Edit(**edit(factor=1.0)),), attempts=evidence.workflow.attempts),
        ):
            candidate = apply_proposal(proposal, evidence)
            assert (candidate.pairs, candidate.workflow, candidate.reasons) == (evidence.pairs, evidence.workflow, ())

    def test_names_outside_the_scope_are_problems(self, parcel, evidence):
        assert find_problems(Proposal(edits=(Edit(**edit()),), attempts=None), evidence) == []
        assert find_problems(Proposal(edits=(Edit(**edit(name="get_parcel")),), attempts=None), evidence)


class TestAdvice:
    def line(self, role="user", text="Stay to the end."):
        return Line(role=role, text=text, reason="it left")

    def test_advice_is_added_and_told_to_the_role_alone(self, evidence):
        candidate = apply_proposal(Proposal(edits=(), advice=(self.line(),), attempts=None), evidence)
        assert candidate.workflow.advice == {"user": ("Stay to the end.",)}
        assert candidate.pairs == evidence.pairs
        assert candidate.reasons == ("advice to the user: Stay to the end.: it left",)

    def test_the_oldest_lines_make_room(self, evidence):
        full = Workflow(advice={"user": tuple(f"line {n}" for n in range(LINES))})
        now = replace(evidence, workflow=full)
        found = apply_proposal(Proposal(edits=(), advice=(self.line(),), attempts=None), now).workflow.advice["user"]
        assert (len(found), found[0], found[-1]) == (LINES, "line 1", "Stay to the end.")

    def test_only_roles_of_models_read_it(self, evidence):
        wish = Proposal(edits=(), advice=(self.line("task_verifier"),), attempts=None)
        assert find_problems(wish, evidence) == [
            "advice.0.role: 'task_verifier' reads none; those who do: nobody",
        ]
        fine = Proposal(edits=(), advice=(self.line("user"),), attempts=None)
        assert find_problems(fine, replace(evidence, advisable=("user",))) == []

    def test_guidelines_are_rewritten_for_the_plans_named(self, evidence):
        new = Guideline(plan="plan-1", text="Callers are cross.", reason="all were kind")
        candidate = apply_proposal(Proposal(edits=(), guidelines=(new,), attempts=None), evidence)
        assert [pair.synthesis.guidelines for pair in candidate.pairs] == [
            evidence.pairs[0].synthesis.guidelines, "Callers are cross.",
        ]  # fmt: skip
        assert [pair.version for pair in candidate.pairs] == [0, 1]
        wrong = Proposal(edits=(), guidelines=(new.model_copy(update={"plan": "plan-7"}),), attempts=None)
        assert "there is no 'plan-7'" in find_problems(wrong, evidence)[0]

    def test_the_prompt_shows_what_each_role_reads_and_how_dialogues_failed(self, parcel, evidence, pilot):
        task, trace, judged = pilot[0].task, pilot[0].traces[0], pilot[0].judgements[0]
        blame = Blame(fault=Fault.USER, evidence="left at 3 of 4")
        failure = Failure(task=task, trace=trace, judgement=judged.model_copy(update={"blame": blame}))
        items = (pilot[0].model_copy(update={"failures": (failure, failure)}), *pilot[1:])
        now = replace(
            evidence, items=items, advisable=("user", "synthesiser"), workflow=Workflow(advice={"user": ("Be brief.",)})
        )
        with FaultyServer(say(edit())) as server:
            ask(server, parcel, now)
        prompt = server.requests[0][0]["messages"][0]["content"]
        assert "- user: Be brief.\n- synthesiser: nothing" in prompt
        assert prompt.count("user: left at 3 of 4") == 1, "one example of each kind"
        assert write_transcript(trace)[-200:] in prompt


class TestPrompts:
    def test_a_folder_of_ones_own_replaces_ours(self, parcel, evidence, tmp_path: Path):
        (tmp_path / "reflector.md").write_text("Tidy up {{ domain }}: {{ rows | length }} rows.")
        with FaultyServer(say(edit())) as server:
            ask(server, parcel, evidence, prompts=tmp_path)
        assert server.requests[0][0]["messages"][0]["content"] == f"Tidy up parcel: {len(count_pilot(evidence))} rows."

    def test_a_folder_without_it_leaves_ours(self, parcel, evidence, tmp_path: Path):
        with FaultyServer(say(edit())) as server:
            ask(server, parcel, evidence, prompts=tmp_path)
        assert "You steer the synthesis" in server.requests[0][0]["messages"][0]["content"]

    @pytest.mark.parametrize("text", ["{{ nothing_like_it }}", "{% if %}", b"\xff\xfe\xff"])
    def test_a_prompt_that_cannot_be_filled_is_named(self, tmp_path: Path, text: Any):
        file = tmp_path / "reflector.md"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(InputError, match=r"reflector\.md.* cannot be used: .*; compare it with the bundled one"):
            render_prompt("reflector", tmp_path, domain="parcel")


class TestRuns:
    """Whole runs whose proposals come from a server."""

    def config(self, server: FaultyServer, **changes: Any) -> SynthConfig:
        role = RoleModel(model="m", base_url=server.base_url, prices=(100.0, 1000.0))
        return SynthConfig(
            **{"n": 4, "seed": 13, "pilot": 4, "search": "llm", "roles": {"reflector": role}, "rounds": 2, **changes}
        )

    def test_proposals_pass_the_same_gate_and_are_paid_once(self, tmp_path):
        with FaultyServer(
            say(edit()), faulty.say({"content": "{}"}), faulty.say({"content": "{}"}), faulty.say({"content": "{}"})
        ) as server:
            result = run_synthesis("parcel", tmp_path / "run", self.config(server))
            asked = len(server.requests)
            again = run_synthesis("parcel", tmp_path / "run", self.config(server), resume=True)
            assert len(server.requests) == asked == 4
        assert result.proved == 4
        assert result.rounds[1].changes == ("all: tools: hold_parcel by 2: too few",)
        assert "no usable proposal: no usable Proposal in 3 answers" in result.rounds[2].reason
        assert not result.rounds[2].accepted
        spent = result.spent["reflector"]
        assert (spent["answers"], spent["prompt_tokens"], spent["completion_tokens"]) == (4, 28, 12)
        assert spent["dollars"] == pytest.approx((28 * 100 + 12 * 1000) / 1e6)
        assert again.spent == result.spent

    def test_a_run_out_of_money_resumes_with_more(self, tmp_path):
        with FaultyServer(*[say(edit())] * 4) as server:
            config = self.config(server)
            with pytest.raises(BudgetError, match="--max-usd"):
                run_synthesis("parcel", tmp_path / "run", config, max_usd=0.001)
            with pytest.raises(BudgetError):
                run_synthesis("parcel", tmp_path / "run", config, resume=True, max_usd=0.001)
            assert len(server.requests) == 1
            result = run_synthesis("parcel", tmp_path / "run", config, resume=True, max_usd=1.0)
        assert len(server.requests) == 2
        assert result.spent["reflector"]["answers"] == 2
        with open_run(tmp_path / "run") as run:
            assert run.ledger.count("proposal:") == 2

    def test_an_endpoint_that_fails_ends_the_run_which_can_be_resumed(self, tmp_path):
        with FaultyServer(faulty.status(401)) as server:
            config = self.config(server, rounds=1)
            with pytest.raises(InputError, match="OPENAI_API_KEY"):
                run_synthesis("parcel", tmp_path / "run", config)
            server._script.append(say(edit()))
            assert run_synthesis("parcel", tmp_path / "run", config, resume=True).proved == 4

    def test_a_search_by_a_model_needs_one(self, tmp_path):
        with pytest.raises(InputError, match="needs a model as reflector"):
            run_synthesis("parcel", tmp_path / "run", SynthConfig(n=1, search="llm"))
        assert not (tmp_path / "run").exists()
