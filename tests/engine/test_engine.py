"""The engine: walks, drafts, streams, and runs that go on where they stopped."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest
from pydantic import ValidationError

from servers.library import load_library
from veriloop.check.sandbox import shared_sandbox
from veriloop.core.errors import VeriloopError
from veriloop.core.message import ToolCall
from veriloop.domains.task import Initial
from veriloop.domains.walk import READS_PER_TOOL, draft_arguments, explore, pooled_values
from veriloop.engine import stream
from veriloop.engine.draft import draft_change, draft_write
from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.stream import make_item
from veriloop.engine.synthesis import synthesise
from veriloop.engine.synthesize import SynthConfig, summarise, synthesize
from veriloop.pipeline.synthesis import make_bench
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.baseline import Noop
from veriloop.store.ledger import Ledger


def nothing(_key):
    return False


@pytest.fixture(scope="module")
def library():
    return load_library()


def walked(domain, caller=0, database="train-0", seed=0):
    session = domain.open(Initial(database=database))
    person = list(domain.callers(database, "train"))[caller]
    return session, explore(domain, session, person, random.Random(seed))


class TestWalks:
    def test_a_walk_opens_with_what_the_caller_knows(self, parcel):
        _, walk = walked(parcel)
        kinds = [walk.known_kinds(position) for position in walk.opening_reads()]
        assert {frozenset({"email"}), frozenset({"phone"})} <= set(kinds)

    def test_what_was_only_heard_identifies_nobody(self, parcel):
        session = parcel.open(Initial(database="train-0"))
        caller = next(person for person in parcel.callers("train-0", "train") if person.heard)
        walk = explore(parcel, session, caller, random.Random(0))
        for position in walk.opening_reads():
            assert walk.reads[position].call.name.startswith("find_customer")

    def test_everything_a_caller_owns_is_found(self, parcel):
        session, walk = walked(parcel, caller=1)
        own = {row.tracking for row in session.state.parcels if row.customer_id == walk.caller.key}
        assert own <= set(walk.pool["tracking"])
        assert walk.caller.key in walk.pool["customer_id"]

    def test_no_tool_is_called_without_end(self, parcel):
        for caller in range(10):
            _, walk = walked(parcel, caller=caller)
            counts = Counter(read.call.name for read in walk.reads)
            assert max(counts.values()) <= READS_PER_TOOL

    def test_reading_changes_nothing(self, parcel):
        session, _ = walked(parcel)
        assert session.changes() == ()

    def test_equal_walks_are_equal(self, parcel):
        assert walked(parcel, seed=5)[1].reads == walked(parcel, seed=5)[1].reads

    def test_a_chain_leads_from_the_opening_to_every_value(self, parcel):
        session, walk = walked(parcel, caller=2)
        tool = parcel.tools["redirect_to_locker"]
        arguments = draft_arguments(tool, walk, session, random.Random(1))
        start = walk.opening_reads()[0]
        chain = walk.chain(pooled_values(tool, arguments), start, frozenset())
        assert chain[0] == start
        shown = " ".join(walk.reads[position].content for position in chain)
        assert all(str(value) in shown for value in arguments.values())

    def test_told_values_need_no_chain(self, parcel):
        session, walk = walked(parcel, caller=2)
        tool = parcel.tools["return_to_sender"]
        arguments = draft_arguments(tool, walk, session, random.Random(1))
        told = frozenset(arguments.values())
        start = walk.opening_reads()[0]
        assert walk.chain(pooled_values(tool, arguments), start, told) == [start]


class TestDrafts:
    def test_allowed_drafts_change_something_and_break_nothing(self, parcel):
        session, walk = walked(parcel, caller=3)
        for name in ("hold_parcel", "return_to_sender", "update_phone", "change_address"):
            for draft in draft_write(parcel, session, walk, parcel.tools[name], random.Random(2), allowed=True):
                assert draft.denied_by is None
                call = ToolCall(id="draft", name=name, arguments=draft.arguments)
                judged = draft_change(parcel, session, walk, call, random.Random(0))
                assert judged and judged.denied_by is None

    def test_forbidden_drafts_name_the_one_clause(self, parcel):
        session, walk = walked(parcel, caller=3)
        ids = {clause.id for clause in parcel.clauses}
        found = [
            draft.denied_by
            for tool in parcel.tools.values()
            if tool.kind == "write" and tool.seat == "agent"
            for draft in draft_write(parcel, session, walk, tool, random.Random(2), allowed=False)
        ]
        assert found
        assert set(found) <= ids

    def test_a_step_of_the_users_own_is_found_where_it_helps(self, parcel):
        orders = [Order(seed=51, item=number) for number in range(120)]
        tasks = [task for order in orders if (task := synthesise(parcel, write_plans(parcel)[0], order))]
        steps = {step.call.name for task in tasks for step in task.gold if step.seat == "user"}
        assert steps == {"enable_locker_pickup", "take_damage_photo"}

    def test_what_a_step_would_lift_is_refused_only_to_who_declines_the_step(self, parcel):
        pair = write_plans(parcel)[0]
        plan = pair.synthesis.model_copy(update={"tiers": {"refusal": 1.0}, "clauses": {"P15": 1.0, "P18": 1.0}})
        own = {"P15": "enable_locker_pickup", "P18": "take_damage_photo"}
        drafted = [synthesise(parcel, pair.model_copy(update={"synthesis": plan}), Order(52, n)) for n in range(30)]
        tasks = [task for task in drafted if task]
        assert {task.refused[0] for task in tasks} >= set(own)
        for task in tasks:
            wanted = [own[task.refused[0]]] if task.refused[0] in own else []
            assert list(task.user.requests[0].declines) == wanted
            assert ("not able to" in task.user.reason_for_call) == bool(wanted)


class TestSynthesis:
    def test_equal_orders_give_equal_tasks(self, parcel):
        pair = write_plans(parcel)[0]
        for number in range(12):
            assert synthesise(parcel, pair, Order(1, number)) == synthesise(parcel, pair, Order(1, number))

    def test_seed_item_attempt_and_split_each_matter(self, parcel):
        pair = write_plans(parcel)[0]
        base = Order(1, 1)
        for other in (Order(2, 1), Order(1, 2), Order(1, 1, attempt=1), Order(1, 1, split="test")):
            assert synthesise(parcel, pair, base) != synthesise(parcel, pair, other)

    def test_held_out_tasks_use_held_out_databases(self, parcel):
        pair = write_plans(parcel)[1]
        for number in range(15):
            task = synthesise(parcel, pair, Order(3, number, split="test"))
            assert task is None or task.initial.database.startswith("test-")

    def test_the_instruction_holds_every_fact(self, pilot):
        for task in [item.task for item in pilot if item.task]:
            for request in task.user.requests:
                assert request.topic in task.user.reason_for_call
                assert all(fact.text in task.user.reason_for_call for fact in request.facts)
            assert all(fact.text in task.user.known_info for fact in task.user.identity)

    def test_nothing_internal_is_told(self, pilot):
        for task in [item.task for item in pilot if item.task]:
            told = task.user.reason_for_call + task.user.known_info
            assert "customer number" not in told
            assert not any(str(call.arguments.get("locker_id")) in told for call in task.wanted)

    def test_a_domain_of_other_words_needs_no_change_here(self, library):
        pairs, proved, tiers, steps = write_plans(library), 0, set(), 0
        for number in range(60):
            draft = synthesise(library, pairs[number % 2], Order(1, number, databases=5))
            if draft and prove(library, task := attach_checker(library, draft), shared_sandbox()).ok:
                proved += 1
                tiers.add(task.tags.tier)
                steps += any(step.seat == "user" for step in task.gold)
        assert proved >= 20
        assert {"single", "refusal"} <= tiers
        assert steps

    def test_a_whole_run_of_that_domain_works(self, library, tmp_path):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, make_bench(library), SynthConfig(n=10, seed=2, pilot=4, databases=5))
        assert result.proved == 10


class TestStreams:
    def test_an_item_carries_task_proof_and_demonstration(self, pilot):
        item = next(item for item in pilot if item.accepted)
        assert item.proof.ok
        assert item.traces[0].task_id == item.task.id
        assert item.judgements[0].verdict.passed
        assert item.mutants_tried >= item.mutants_caught > 0

    def test_a_task_that_exists_already_is_drafted_anew(self, parcel, bench):
        pair, order = write_plans(parcel)[0], Order(seed=41, item=0)
        first = asyncio.run(make_item(bench, pair, Workflow(), order, nothing))
        again = asyncio.run(make_item(bench, pair, Workflow(), order, {first.task.id}.__contains__))
        assert again.task is None or again.task.id != first.task.id
        assert "duplicate" in {rejection.stage for rejection in again.rejections}

    def test_it_gives_up_after_its_attempts(self, parcel, bench):
        plan = write_plans(parcel)[0]
        idle = plan.model_copy(update={"synthesis": plan.synthesis.model_copy(update={"tools": {}})})
        item = asyncio.run(make_item(bench, idle, Workflow(attempts=3), Order(seed=1, item=0), nothing))
        assert not item.accepted
        assert [rejection.attempt for rejection in item.rejections] == [0, 1, 2]

    def test_without_verification_nothing_is_proved_and_every_dialogue_kept(self, parcel):
        bench = replace(make_bench(parcel, verify=False), agent=Noop())
        item = asyncio.run(make_item(bench, write_plans(parcel)[0], Workflow(rollouts=2), Order(1, 1), nothing))
        assert item.accepted and item.proof is None and item.mutants_tried == 0
        assert len(item.traces) == 2 and not item.failures
        assert all(found.blame for found in item.judgements)

    def test_more_rollouts_give_more_demonstrations(self, parcel, bench):
        item = asyncio.run(
            make_item(bench, write_plans(parcel)[0], Workflow(rollouts=3), Order(seed=41, item=2), nothing)
        )
        assert len(item.traces) == len(item.judgements) == 3
        assert len({trace.seed for trace in item.traces}) == 3


def contents(ledger):
    stages = ("synth", "accepted", "proof", "rollout:", "verdict:", "drafts", "pilot:", "held:", "archive:")
    rows = [(e.item, e.stage, e.status, e.text) for stage in stages for e in ledger.entries(stage)]
    return rows, ledger.get_meta("plans"), ledger.get_meta("rounds")


class StoppedError(VeriloopError):
    """The interruption of these tests."""


class TestRuns:
    CONFIG = SynthConfig(n=12, seed=9, pilot=3)

    @pytest.fixture(scope="class")
    def unbroken(self, bench, tmp_path_factory):
        with Ledger(tmp_path_factory.mktemp("unbroken") / "ledger.sqlite") as ledger:
            synthesize(ledger, bench, self.CONFIG)
            return contents(ledger)

    @pytest.mark.parametrize("stop", [1, 2, 7, 11])
    def test_a_run_stopped_anywhere_ends_like_an_unbroken_one(self, bench, tmp_path, unbroken, stop):
        def interrupt(done, _wanted, what):
            if done == stop and not what:
                raise StoppedError("stop")

        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            with pytest.raises(StoppedError):
                synthesize(ledger, bench, self.CONFIG, progress=interrupt)
            assert ledger.count("accepted") == stop
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            synthesize(ledger, bench, self.CONFIG)
            assert contents(ledger) == unbroken

    def test_a_run_stopped_in_its_pilot_ends_alike_too(self, bench, tmp_path, unbroken, monkeypatch):
        made = stream.make_item
        calls = iter(range(4))

        async def failing(*arguments):
            if next(calls, None) is None:
                raise StoppedError("stop")
            return await made(*arguments)

        monkeypatch.setattr(stream, "make_item", failing)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            with pytest.raises(StoppedError):
                synthesize(ledger, bench, self.CONFIG)
            assert ledger.count("pilot:0") == 4
            monkeypatch.setattr(stream, "make_item", made)
            synthesize(ledger, bench, self.CONFIG)
            assert contents(ledger) == unbroken

    def test_a_finished_run_is_not_made_again(self, bench, tmp_path, monkeypatch):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            first = synthesize(ledger, bench, self.CONFIG)
            monkeypatch.setattr(stream, "make_item", None)
            again = synthesize(ledger, bench, self.CONFIG)
        assert again.model_copy(update={"seconds": 0}) == first.model_copy(update={"seconds": 0})

    def test_another_seed_gives_other_tasks(self, bench, tmp_path, unbroken):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            synthesize(ledger, bench, self.CONFIG.model_copy(update={"seed": 10}))
            ids = {entry.payload["id"] for entry in ledger.entries("accepted")}
        assert len(ids) == 12
        assert not any(row[1] == "accepted" and any(task in row[3] for task in ids) for row in unbroken[0])

    def test_the_summary_counts_what_the_ledger_holds(self, bench, tmp_path):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, bench, self.CONFIG, run="here")
            tasks = [entry.payload for entry in ledger.entries("synth", "done")]
        assert result.run == "here"
        assert result.proved == len(tasks) == 12
        assert result.no_write == sum(task["tags"]["no_write"] for task in tasks)
        assert result.attempted >= result.proved
        assert 0.9 < result.mutation_score <= 1
        assert [record.round for record in result.rounds] == [0, 1]
        assert {"round", "fitness", "fitness_candidate", "accepted", "reason"} <= result.model_dump()["rounds"][
            0
        ].keys()

    def test_without_evolution_there_are_no_rounds(self, bench, tmp_path):
        config = self.CONFIG.model_copy(update={"n": 3, "evolve": False})
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, bench, config)
            assert ledger.count("pilot:0") == 0
        assert result.rounds == ()

    def test_an_empty_ledger_has_an_empty_summary(self, tmp_path):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = summarise(ledger, "r", 0.0)
        assert (result.proved, result.attempted, result.mutation_score) == (0, 0, None)

    @pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 1, "plans": 0}, {"n": 1, "pilot": 1}, {"n": 1, "rounds": -1}])
    def test_settings_out_of_range_are_refused(self, wrong):
        with pytest.raises(ValidationError):
            SynthConfig(**wrong)
