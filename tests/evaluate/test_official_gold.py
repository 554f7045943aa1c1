"""The benchmark's 114 gold trajectories against our sessions and clauses."""

from collections import Counter

import pytest

from veriloop.domains.tau2.airline import load_airline
from veriloop.domains.tau2.retail import load_retail
from veriloop.domains.tau2.telecom import load_telecom
from veriloop.evaluate.gold import GoldReplay, audit_clauses_on_gold, replay_official_gold

DOMAIN = load_retail()

SAME_ITEM = "R16: the gold exchanges an item for itself; the policy wants other options (lines 112 and 132)"
TOOL_AGREES = "the tool refuses the call as well, so that the gold writes nothing"
EXPLAINED = {
    ("18", "R16"): SAME_ITEM,
    ("91", "R16"): SAME_ITEM,
    ("107", "R16"): SAME_ITEM,
    ("12", "R19"): TOOL_AGREES,
    ("13", "R19"): TOOL_AGREES,
    ("64", "R20"): TOOL_AGREES,
    ("105", "R17"): TOOL_AGREES,
}


@pytest.fixture(scope="module")
def replays() -> list[GoldReplay]:
    return replay_official_gold(DOMAIN)


def test_every_gold_is_re_executed_without_mismatch_for_the_full_reward(replays: list[GoldReplay]) -> None:
    assert len(replays) == 114
    assert [replay for replay in replays if replay.mismatch] == []
    assert Counter(replay.reward for replay in replays) == {1.0: 114}


def test_refused_gold_calls_stay_in_the_dialogues(replays: list[GoldReplay]) -> None:
    refused = {replay.task_id: replay.errors for replay in replays if replay.errors}
    assert (len(refused), sum(refused.values())) == (18, 23)


def test_the_clauses_allow_the_gold_writes() -> None:
    audit = audit_clauses_on_gold(DOMAIN)
    assert (audit.writes, audit.refused) == (178, 4)
    assert audit.allowed_share >= 0.98


def test_each_denial_is_explained() -> None:
    audit = audit_clauses_on_gold(DOMAIN)
    assert {(denial.task_id, denial.clause) for denial in audit.denials} == set(EXPLAINED)
    for denial in audit.denials:
        assert denial.refused is (EXPLAINED[denial.task_id, denial.clause] == TOOL_AGREES)
        if not denial.refused:
            assert denial.call.arguments["item_ids"] == denial.call.arguments["new_item_ids"]


def test_whatever_the_tools_refuse_the_clauses_deny() -> None:
    audit = audit_clauses_on_gold(DOMAIN)
    assert audit.refused == len({(d.task_id, d.call.id) for d in audit.denials if d.refused})


AIRLINE = load_airline()
WRONG_GOLD = {
    ("2", "A24"): "compensates for a delay without a change of the reservation (line 165)",
    ("38", "A24"): "compensates for a delay without a change of the reservation (line 165)",
    ("27", "A24"): "compensates for a delay without a change of the reservation (line 165)",
    ("7", "A20"): "cancels what was basic economy, uninsured and two weeks old (line 143)",
    ("9", "A19"): "cancels a trip that was flown to its end (line 141)",
    ("37", "A19"): "cancels a trip that was flown to its end (line 141)",
    ("29", "A13"): "flies to JFK instead of LGA (line 111)",
    ("33", "A9"): "has two bags paid that a gold member has free (line 93)",
}


def test_every_airline_gold_is_re_executed_without_mismatch_for_the_full_reward() -> None:
    replays = replay_official_gold(AIRLINE)
    assert len(replays) == 50
    assert [replay for replay in replays if replay.mismatch or replay.errors] == []
    assert Counter(replay.reward for replay in replays) == {1.0: 50}


def test_the_airline_gold_writes_that_the_policy_forbids_are_known() -> None:
    audit = audit_clauses_on_gold(AIRLINE)
    assert (audit.writes, audit.refused) == (55, 0)
    assert {(denial.task_id, denial.clause) for denial in audit.denials} == set(WRONG_GOLD)


def test_over_all_three_domains_the_clauses_allow_nearly_all_gold_writes() -> None:
    audits = [audit_clauses_on_gold(domain) for domain in (DOMAIN, AIRLINE, load_telecom())]
    effective = sum(audit.writes - audit.refused for audit in audits)
    assert effective == 725
    assert sum(audit.allowed_share * (audit.writes - audit.refused) for audit in audits) / effective >= 0.98
