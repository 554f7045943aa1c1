"""Opinions beside verdicts: counted over all dialogues that were judged by both, disagreements by name."""

from pathlib import Path
from typing import Any

import pytest

from veriloop.report.agreement import SHOWN, read_agreement
from veriloop.report.dialogue import pick_demonstrations
from veriloop.report.page import write_report
from veriloop.store.run import open_run


def say(success: bool, evidence: str = "why") -> dict[str, Any]:
    return {"success": success, "fault": None, "evidence": evidence}


def note(run: Any, item: int, outcome: str, **opinions: Any) -> None:
    verdict = {"outcome": outcome, "reason": "as it is"}
    run.ledger.put(item, "verdict:0", {"verdict": verdict, "success": True, "blame": None, **opinions})


@pytest.fixture
def opened(run: Path):
    with open_run(run) as opened:
        yield opened


def test_nobody_is_there_who_gave_no_opinion(opened):
    assert read_agreement(opened) == []


def test_each_side_is_counted(opened):
    pairs = [("pass", True)] * 3 + [("pass", False)] + [("fail", True)] * 2 + [("fail", False)] + [("error", False)]
    for item, (outcome, success) in enumerate(pairs):
        note(opened, item, outcome, judge=say(success))
    (found,) = read_agreement(opened)
    assert (found.reader, found.both, found.checker, found.alone, found.none) == ("judge", 3, 1, 2, 1)
    assert (found.count, found.share) == (7, pytest.approx(4 / 7))
    assert found.kappa == pytest.approx(2 / 23)


def test_what_was_rejected_counts_too_and_both_readers_are_told_apart(opened, tasks):
    note(opened, 0, "pass", judge=say(True), opinion=say(True))
    judgement = {"verdict": {"outcome": "fail", "reason": "no"}, "opinion": say(True, ""), "judge": None}
    opened.ledger.put(1, "failure:0", {"judgement": judgement, "trace": {"task_id": "gone"}, "task": {}})
    judge, verifier = read_agreement(opened)
    assert (judge.reader, judge.count, judge.kappa) == ("judge", 1, None)
    assert (verifier.reader, verifier.count, verifier.alone) == ("trajectory verifier", 2, 1)
    (found,) = verifier.disagreements
    assert (found.place, found.links) == ("item 1, failure:0", {}), "no file of a task that was given up"
    assert (found.checker, found.reader) == ("fail: no", "pass: without evidence")


def test_disagreements_lead_to_task_and_checker(opened):
    note(opened, 0, "pass", opinion=say(False))
    (found,) = read_agreement(opened)
    task = opened.ledger.get(0, "accepted").payload["id"]
    links = {f"task {task}": f"tasks/{task}.json", f"checker {task}": f"checkers/{task}.py"}
    assert found.disagreements[0].links == links
    assert found.disagreements[0].place == "item 0, verdict:0"


def test_the_page_tells_the_first_of_many(run: Path):
    with open_run(run) as opened:
        for item in range(SHOWN + 3):
            note(opened, item, "fail", judge=say(True, f"fine {item}"))
            opened.ledger.put(item, "rollout:0", {}, "rejected")
    text = write_report(run).read_text()
    assert f"{SHOWN + 3} dialogues on which judge and checker differ" in text
    assert text.count("the judge says pass: fine ") == SHOWN
    assert "and 3 more in the ledger." in text
    assert '<a href="#agreement">Opinions</a>' in text


def test_a_dialogue_is_shown_with_what_was_thought_of_it(opened):
    for item in range(8):
        note(opened, item, "pass", judge=say(False, "too curt"), opinion=say(True, ""))
    for shown in pick_demonstrations(opened):
        assert shown.notes == ("the judge says fail: too curt", "the trajectory verifier says pass: without evidence")
