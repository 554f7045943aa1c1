"""An agent that errs on purpose: in the share of dialogues it should, and so that only executed checks find out."""

import pytest

from veriloop.check.sandbox import judge
from veriloop.core.base import derive_seed
from veriloop.core.message import Turn
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.scripted import ScriptedUser
from veriloop.rollout.slip import CLAIM, REFUSAL, Slipping


@pytest.fixture(scope="module")
def tasks(parcel):
    pairs = write_plans(parcel)
    drafts = [synthesise(parcel, pairs[item % 2], Order(seed=33, item=item)) for item in range(60)]
    return [attach_checker(parcel, draft) for draft in drafts if draft]


def play_all(parcel, tasks, agent, seed=0):
    players = {"agent": agent, "user": ScriptedUser()}
    return [play(Episode(parcel, task, seed=derive_seed(seed, task.id)), players) for task in tasks]


def spoken(trace) -> set[str]:
    return {turn.content for turn in trace.turns if turn.seat == "agent"}


def test_who_never_slips_plays_like_the_other(parcel, tasks):
    plain = play_all(parcel, tasks[:12], load_expert("parcel"))
    assert play_all(parcel, tasks[:12], Slipping(load_expert("parcel"), 0.0)) == plain


def test_who_always_slips_fails_whatever_has_to_be_changed(parcel, tasks):
    expert = load_expert("parcel")
    plain, slipped = (play_all(parcel, tasks, agent) for agent in (expert, Slipping(expert, 1.0)))
    right = [judge(task, trace).passed for task, trace in zip(tasks, slipped, strict=True)]
    changing = [not task.tags.no_write for task in tasks]
    # A mistaken argument may be refused by the tool and be right the next time, never the other way round.
    assert sum(ok for ok, changes in zip(right, changing, strict=True) if changes) <= 0.1 * sum(changing)
    assert all(
        trace.turns == other.turns
        for trace, other, changes in zip(slipped, plain, changing, strict=True)
        if not changes
    )
    assert any(CLAIM in spoken(trace) for trace in slipped) and any(REFUSAL in spoken(trace) for trace in slipped)
    assert any(trace.changes and not ok for trace, ok in zip(slipped, right, strict=True)), "mistakes change something"


def test_the_share_is_that_of_dialogues_and_the_seed_repeats_them(parcel, tasks):
    changing = [task for task in tasks if not task.tags.no_write]
    agent = Slipping(load_expert("parcel"), 0.3)
    played = [play_all(parcel, changing, agent, seed) for seed in range(6)]
    passed = [judge(task, trace).passed for traces in played for task, trace in zip(changing, traces, strict=True)]
    assert 0.2 < passed.count(False) / len(passed) < 0.4
    assert play_all(parcel, changing, agent, 0) == played[0]


def test_words_and_reads_are_left_alone(parcel, tasks):
    agent = Slipping(load_expert("parcel"), 1.0)
    reads = {tool.name for tool in parcel.tools.values() if tool.kind != "write"}
    for trace in play_all(parcel, tasks[:10], agent):
        turns: list[Turn] = [turn for turn in trace.turns if turn.seat == "agent"]
        assert any(call.name in reads for turn in turns for call in turn.tool_calls)
    assert agent.name.endswith(", slipping")
