"""Drafts on a domain of other words: what the clauses allow, what they forbid, which steps of the user's help."""

import random

import pytest

from servers.library import load_library
from veriloop.core.message import ToolCall
from veriloop.domains.task import Initial
from veriloop.domains.walk import explore
from veriloop.engine.draft import apply_draft, draft_calls, draft_change, draft_refusal, draft_write, evidence_reads
from veriloop.engine.planner import write_plans
from veriloop.engine.scenario import pick_topic, render_request
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import SHAPES, synthesise


@pytest.fixture(scope="module")
def library():
    return load_library()


def enter(library, reader):
    session = library.open(Initial(database="train-1"))
    caller = library.callers("train-1", "train")[reader]
    return session, explore(library, session, caller, random.Random(0)), caller


def judge(library, reader, tool, code, *, draft=draft_change, **rest):
    session, walk, caller = enter(library, reader)
    call = ToolCall(id="draft", name=tool, arguments={"card": caller.key, "code": code, **rest})
    return draft(library, session, walk, call, random.Random(0)), session, walk


class TestJudging:
    """Readers with an odd number have not accepted the terms; book n is lent to reader n % 8, renewed n % 4 times."""

    def test_what_no_clause_forbids_is_allowed(self, library):
        draft, _, _ = judge(library, 0, "renew", "B0")
        assert (draft.denied_by, draft.user_steps) == (None, ())

    def test_what_one_clause_forbids_is_a_refusal(self, library):
        draft, _, _ = judge(library, 2, "renew", "B2", draft=draft_refusal)
        assert (draft.denied_by, draft.declined) == ("L1", ())
        assert judge(library, 2, "renew", "B2")[0] is None

    def test_what_a_step_of_the_users_lifts_is_allowed_after_it(self, library):
        draft, session, _ = judge(library, 1, "move", "B1", branch="north")
        assert draft.denied_by is None
        assert [step.name for step in draft.user_steps] == ["accept_terms"]
        apply_draft(session, draft)
        assert {change.table for change in session.changes()} == {"readers", "books"}
        assert [(call.seat, call.call.name) for call in draft_calls(draft)] == [
            ("user", "accept_terms"),
            ("agent", "move"),
        ]

    def test_what_a_step_would_lift_is_refused_to_who_cannot_take_it(self, library):
        draft, _, _ = judge(library, 1, "move", "B1", draft=draft_refusal, branch="north")
        assert (draft.denied_by, draft.user_steps, draft.declined) == ("L3", (), ("accept_terms",))

    def test_what_two_clauses_forbid_is_no_task(self, library):
        for draft in (draft_change, draft_refusal):
            assert judge(library, 1, "move", "B1", draft=draft, branch="south")[0] is None

    def test_what_the_tool_refuses_is_no_task(self, library):
        assert judge(library, 0, "renew", "B1")[0] is None

    def test_a_refused_draft_changes_nothing(self, library):
        draft, session, _ = judge(library, 2, "renew", "B2", draft=draft_refusal)
        apply_draft(session, draft)
        assert session.changes() == ()


class TestDrafting:
    @pytest.mark.parametrize("allowed", [True, False])
    def test_only_drafts_of_the_kind_asked_for_come(self, library, allowed):
        count = 0
        for reader in range(8):
            session, walk, _ = enter(library, reader)
            for tool in ("renew", "move"):
                drafts = list(
                    draft_write(library, session, walk, library.tools[tool], random.Random(1), allowed=allowed)
                )
                assert all((draft.denied_by is None) == allowed for draft in drafts)
                seen = [repr(draft.arguments) for draft in drafts]
                assert len(seen) == len(set(seen))
                count += len(drafts)
            assert session.changes() == ()
        assert count

    def test_the_read_that_a_clause_rests_on_is_added(self, library):
        draft, _, walk = judge(library, 2, "renew", "B2", draft=draft_refusal)
        chain = evidence_reads(library, walk, draft, walk.opening_reads()[:1], frozenset(draft.arguments.values()))
        assert "list_loans" in {walk.reads[position].call.name for position in chain}
        assert len(chain) == len(set(chain))


class TestShapes:
    @pytest.mark.parametrize("tier", sorted(SHAPES))
    def test_a_plan_of_one_tier_gives_that_tier(self, library, tier):
        pair = write_plans(library)[0]
        only = pair.model_copy(update={"synthesis": pair.synthesis.model_copy(update={"tiers": {tier: 1.0}})})
        made = [task for item in range(40) if (task := synthesise(library, only, Order(4, item, databases=3)))]
        assert made
        for task in made:
            assert task.tags.tier == tier
            assert len(task.wanted) == len(task.user.requests) == len(SHAPES[tier])
            assert len(task.refused) == sum(not allowed for allowed in SHAPES[tier])
            assert task.tags.no_write == (tier == "refusal")
            assert len({call.name for call in task.wanted}) == len(task.wanted)

    def test_a_tool_without_weight_is_never_asked_for(self, library):
        pair = write_plans(library)[0]
        only = pair.model_copy(update={"synthesis": pair.synthesis.model_copy(update={"tools": {"renew": 1.0}})})
        made = [task for item in range(40) if (task := synthesise(library, only, Order(4, item, databases=3)))]
        assert {call.name for task in made for call in task.wanted} == {"renew"}

    def test_a_heavier_clause_is_refused_for_more_often(self, parcel):
        def share(weight):
            pair = write_plans(parcel)[1]
            weights = dict.fromkeys(pair.synthesis.clauses, 1.0) | {"P9": weight}
            plan = pair.synthesis.model_copy(update={"tiers": {"refusal": 1.0}, "clauses": weights})
            tasks = [synthesise(parcel, pair.model_copy(update={"synthesis": plan}), Order(6, n)) for n in range(60)]
            refused = [task.refused[0] for task in tasks if task]
            return refused.count("P9") / len(refused)

        assert share(200.0) > 0.5 > share(1.0) >= share(0.001)


def test_requests_without_facts_or_topics_read_well(library):
    task = next(t for item in range(20) if (t := synthesise(library, write_plans(library)[0], Order(9, item))))
    bare = task.user.requests[0].model_copy(update={"facts": ()})
    assert render_request(bare).endswith(f" to {bare.topic}.")
    assert pick_topic((), "Show A Thing.", random.Random(0)) == "show a thing"
    assert pick_topic(("a", "b"), "x", random.Random(0)) in ("a", "b")
