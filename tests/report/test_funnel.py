"""The yield funnel: every draft is counted once, reasons are grouped, blame is added up."""

import itertools
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.engine.tally import generalise
from veriloop.report.funnel import STAGES, Funnel, read_funnel
from veriloop.store.run import create_run

REJECTIONS = st.builds(
    lambda stage, reason, fault: {"stage": stage, "reason": reason, "fault": fault},
    st.sampled_from(list(STAGES)),
    st.sampled_from(["gold fails", "task 'a1' fails", "task 'b2' fails"]),
    st.sampled_from(["", "agent", "user"]),
)
DRAFTS = st.builds(
    lambda rejections, accepted: {
        "rejections": rejections, "accepted": accepted, "mutants_tried": 5, "mutants_caught": 4,
    },
    st.lists(REJECTIONS, max_size=5), st.booleans(),
)  # fmt: skip


def store(folder: Path, drafts: list[dict[str, Any]]) -> Funnel:
    with create_run(folder / "run", {"domain": "parcel"}) as run:
        for number, payload in enumerate(drafts):
            run.ledger.put(number, "drafts", payload)
            run.ledger.put(number, "synth", {}, "done", seconds=0.5)
        return read_funnel(run)


@settings(deadline=None, max_examples=30)
@given(st.lists(DRAFTS, max_size=8))
def test_levels_fall_from_all_drafts_to_the_accepted(tmp_path_factory: Any, drafts: list[dict[str, Any]]) -> None:
    funnel = store(tmp_path_factory.mktemp("funnel"), drafts)
    steps = funnel.steps()
    counts = [step.count for step in steps]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == funnel.attempted == sum(len(d["rejections"]) + d["accepted"] for d in drafts)
    assert counts[-1] == funnel.accepted == sum(d["accepted"] for d in drafts)
    for step, after in itertools.pairwise(steps):
        assert step.count - after.count == sum(count for _, count in step.lost)
    assert funnel.blames.total() == sum(bool(r["fault"]) for d in drafts for r in d["rejections"])
    assert funnel.seconds == 0.5 * len(drafts)
    assert funnel.mutation_score == (0.8 if drafts else None)
    assert (funnel.share is None) == (funnel.attempted == 0)


def test_reasons_of_equal_kind_are_one(tmp_path: Path) -> None:
    assert generalise("parcel 'VP1' of C17 has 3 attempts") == generalise("parcel 'VP22' of C99 has 4 attempts")
    assert generalise("too heavy") != generalise("too late")
    rejected = [{"stage": "proof", "reason": f"task '{n}' fails", "fault": ""} for n in range(3)]
    drafts = [{"rejections": rejected, "accepted": False, "mutants_tried": 0, "mutants_caught": 0}]
    assert store(tmp_path, drafts).steps()[2].lost == (("task … fails", 3),)


def test_blames_of_judged_dialogues_count_too(tmp_path: Path) -> None:
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "verdict:0", {"blame": {"fault": "user", "evidence": "x"}})
        run.ledger.put(1, "verdict:0", {"blame": None})
        assert read_funnel(run).blames == {"user": 1}


def test_stages_that_a_run_does_not_have_are_no_levels(tmp_path: Path) -> None:
    plain = [step.label for step in Funnel().steps()]
    assert plain == [
        "Drafts attempted", "Something to draft for the caller", "Not there already", "Proved",
        "Demonstrated and verified: accepted",
    ]  # fmt: skip
    rejected = [{"stage": stage, "reason": "no", "fault": ""} for stage in ("difficulty", "review")]
    drafts = [{"rejections": rejected, "accepted": True, "mutants_tried": 0, "mutants_caught": 0}]
    steps = store(tmp_path, drafts).steps()
    assert [(step.label, step.count, step.lost) for step in steps[3:]] == [
        ("Proved", 3, (("no", 1),)),
        ("Nothing to object for the task verifier", 2, ()),
        ("Demonstrated and verified", 2, (("no", 1),)),
        ("Neither too hard nor too easy: accepted", 1, ()),
    ]
