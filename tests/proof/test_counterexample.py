"""Checkers that are no good are rejected, and the dialogue that shows it is named: what was called and how it ended."""

import ast
import json
import re

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.engine.tally import generalise
from veriloop.proof.counterexample import LONGEST, MARK, tell_case
from veriloop.proof.prove import prove


def by_tier(tasks, *tiers):
    return [task for task in tasks if task.tags.tier in tiers]


def object_to(parcel, task, source):
    """Return what the proof objects to, by what it is about: gold, a mutant's kind, an alternative's kind."""
    proof = prove(parcel, task.model_copy(update={"checker": source}), shared_sandbox())
    assert not proof.ok
    found: dict[str, list[str]] = {}
    for problem in proof.problems:
        found.setdefault(problem.partition(":")[0], []).append(problem)
    return found


def spell(call, seat="agent"):
    arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in call.arguments.items())
    return f"{'' if seat == 'agent' else 'the user' + chr(39) + 's '}{call.name}({arguments})"


def check(line):
    return f"def check(changes, calls, messages):\n    {line}\n"


def last_write(parcel, task):
    return next(step.call for step in reversed(task.gold) if parcel.tools[step.call.name].kind == "write")


class TestWorthlessCheckers:
    def test_one_that_always_passes(self, parcel, many):
        for task in by_tier(many, "single", "compound")[:6]:
            found = object_to(parcel, task, check("return {'passed': True, 'reason': 'fine'}"))
            dropped = found["mutant dropped_write"][-1]
            assert dropped.startswith("mutant dropped_write: the checker says pass: fine; counter-example: ")
            assert f"the right calls without {spell(last_write(parcel, task))}" in dropped
            assert "it ends with nothing changed" in found["mutant untouched"][0]
            assert "gold" not in found

    def test_one_that_always_fails(self, parcel, many):
        for task in by_tier(many, "single", "refusal")[:6]:
            found = object_to(parcel, task, check("return {'passed': False, 'reason': 'never'}"))
            told = found["gold"][0]
            assert told.startswith("gold: the checker says fail: never; counter-example: it calls ")
            assert all(spell(step.call, step.seat) in told for step in task.gold)
            assert "alternative extra_reads" in found and not any(kind.startswith("mutant") for kind in found)

    def test_one_that_ignores_a_field(self, parcel, many):
        task = next(t for t in by_tier(many, "single") if t.wanted[0].name == "reschedule_delivery")
        place = ("parcels", task.wanted[0].arguments["tracking"])
        places = "[(change['table'], change['key']) for change in changes]"
        found = object_to(parcel, task, check(f"return {{'passed': {places} == [{place}], 'reason': 'blind'}}"))
        told = next(
            told for told in found["mutant changed_argument"] if told.partition(" and with ")[2].count(place[1]) > 1
        )
        added = re.search(r"and with reschedule_delivery\((.+?)\)", told)
        assert f"the right calls without {spell(last_write(parcel, task))} and with " in told
        day = re.search(r'day="(\w+)"', added[1])
        assert f'day "{day[1]}"' in told.partition("it ends with ")[2]
        assert day[1] != task.wanted[0].arguments["day"]

    def test_one_that_checks_another_row(self, parcel, many):
        task = next(t for t in by_tier(many, "single") if t.wanted[0].name == "reschedule_delivery")
        tracking = task.wanted[0].arguments["tracking"]
        tree = ast.parse(task.checker)
        for node in tree.body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "GOLD":
                gold = ast.literal_eval(node.value)
                other = {(table, "VP0" if key == tracking else key): row for (table, key), row in gold.items()}
                node.value = ast.parse(repr(other), mode="eval").body
        told = object_to(parcel, task, ast.unparse(tree))["gold"][0]
        assert "('parcels', 'VP0') was not changed" in told
        assert f'it ends with parcels {tracking}: day "{task.wanted[0].arguments["day"]}"' in told

    def test_one_that_demands_no_refusal(self, parcel, many):
        task = by_tier(many, "refusal")[0]
        found = object_to(parcel, task, check("return {'passed': changes == [], 'reason': 'idle'}"))
        told = found["mutant unrefused"][0].partition("the right calls; ")[2]
        assert re.match(
            r'the agent (says ".+" and not|does not say) "I am sorry, I cannot do that."; it ends with', told
        )

    def test_one_that_does_not_care_when_something_is_refused(self, parcel, many):
        task = by_tier(many, "refusal")[0]
        said = "any(['cannot' in message['content'] for message in messages])"
        lax = check(f"return {{'passed': changes == [] and {said}, 'reason': 'deaf'}}")
        told = object_to(parcel, task, lax)["mutant hasty_refusal"][0]
        assert f"after 0 of {len(task.gold)} calls" in told or "the right calls in another order" in told

    def test_one_that_breaks_on_some_dialogues(self, parcel, many):
        task = by_tier(many, "single")[0]
        found = object_to(parcel, task, check("return {'passed': changes[0]['after'] != 1, 'reason': ''}"))
        assert "mutant untouched: the checker says error: MontyRuntimeError: IndexError" in found["mutant untouched"][0]

    def test_one_that_counts_calls(self, parcel, many):
        task = by_tier(many, "single")[0]
        found = object_to(parcel, task, check(f"return {{'passed': len(calls) == {len(task.gold)}, 'reason': 'n'}}"))
        told = found["alternative extra_reads"][0]
        assert re.search(r"the right calls with (\w+\(.*?\), ){2}\w+\(.*?\); it ends with parcels", told)


CALL = {"seat": "agent", "name": "f", "arguments": {"a": 1, "b": ["x"]}, "error": False}
OWN = {"seat": "user", "name": "g", "arguments": {}, "error": True}
SAID = [{"seat": "agent", "content": "Bye.", "calls": 2}, {"seat": "user", "content": "Thanks.", "calls": 2}]
ROW = {"table": "t", "key": "k", "before": {"a": 1, "b": 2}, "after": {"a": 1, "b": None}}


@pytest.mark.parametrize(
    ("case", "right", "told"),
    [
        (([], [], []), None, "it calls nothing; it ends with nothing changed"),
        (
            ([ROW], [CALL, OWN], []),
            None,
            'it calls f(a=1, b=["x"]), the user\'s g() (refused); it ends with t k: b null',
        ),
        (
            ([], [OWN], []),
            ([ROW], [CALL, OWN], []),
            'the right calls without f(a=1, b=["x"]); it ends with nothing changed',
        ),
        (
            ([], [CALL, CALL], []),
            ([], [CALL], []),
            'the right calls with f(a=1, b=["x"]); it ends with nothing changed',
        ),
        (
            ([], [OWN, CALL], SAID),
            ([ROW], [CALL, OWN], []),
            "the right calls in another order: the user's g() (refused), f(",
        ),
        (([], [CALL, OWN], []), ([ROW], [CALL, OWN], []), "the right calls; it ends with nothing changed"),
        (
            ([ROW], [CALL, OWN], SAID),
            ([ROW], [CALL, OWN], []),
            'the right calls; the agent says "Bye."; it ends',
        ),
        (([ROW], [CALL], SAID), ([ROW], [CALL], []), '"Bye." after 2 of 1 calls'),
        (([ROW], [CALL], []), ([ROW], [CALL], SAID), 'the right calls; the agent does not say "Bye."; it ends'),
        (([ROW], [CALL], SAID), ([ROW], [CALL], SAID[::-1]), "the right calls; the same is said; it ends"),
        (([{**ROW, "before": None}, {**ROW, "after": None}], [], []), None, "it ends with t k new; t k gone"),
    ],
)
def test_a_dialogue_in_a_line(case, right, told):
    assert told in tell_case(case, right)


def test_a_line_has_an_end():
    line = tell_case(([], [CALL] * 500, []))
    assert len(line) == LONGEST
    assert line.endswith("…")


def test_problems_of_a_kind_are_counted_together():
    problem = "mutant dropped_write: the checker says pass: fine"
    assert generalise(problem + MARK + "the right calls without f(); it ends with nothing changed") == problem
