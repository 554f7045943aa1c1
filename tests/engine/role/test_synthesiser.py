"""The task synthesiser as a model: a conversation over a live session that ends in a task, or in the reason why not."""

import asyncio
import copy
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from servers.roles import RoleServer
from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.role.cast import DraftError
from veriloop.engine.role.synthesiser import SAMPLES, SHOWN, STRAYS, TURNS, ModelSynthesiser
from veriloop.engine.setting import Order
from veriloop.engine.stream import make_item
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry
from veriloop.proof.counterexample import MARK
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.experts import load_expert


@pytest.fixture(scope="module")
def player(parcel):
    with RoleServer(parcel, load_expert("parcel"), databases=8) as server:
        yield server


def open_drafting(server, parcel, order, tier="single", **options):
    pair = write_plans(parcel)[0]
    plan = pair.synthesis.model_copy(update={"tiers": {tier: 1.0}})
    client = Client(Endpoint("m", server.base_url, retry=Retry(attempts=2, base=0.01)))
    pair = pair.model_copy(update={"synthesis": plan})
    return ModelSynthesiser(client, **options).start(parcel, pair, order)


def draft(drafting, problems=()):
    return asyncio.run(drafting.draft(problems))


def call(name: str, **arguments: Any) -> Any:
    spelled = {"id": f"c{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return faulty.say({"content": "", "tool_calls": [spelled]})


def find_order(player, parcel, tier: str) -> tuple[Order, Any]:
    """Return an order whose caller has a case of the tier, with the task that the good server makes of it."""
    for item in range(12):
        order = Order(seed=5, item=item, databases=8)
        try:
            return order, draft(open_drafting(player, parcel, order, tier))
        except DraftError:
            continue
    raise AssertionError("no caller has a case")


def find_order_with_parcel(player, parcel) -> tuple[Order, Any]:
    """Return an order whose task is about a parcel that the caller names."""
    for item in range(40):
        order = Order(seed=9, item=item, databases=8)
        task = try_draft(player, parcel, order)
        if task and any(fact.argument == "tracking" for fact in task.user.requests[0].facts):
            return order, task
    raise AssertionError("no caller has such a case")


def submission_of(player, parcel, order: Order, tier: str) -> dict[str, Any]:
    drafting = open_drafting(player, parcel, order, tier)
    prompt = drafting.messages[0]["content"]
    return copy.deepcopy(player._draft(prompt, 0)[-1]["arguments"])


@pytest.mark.parametrize("tier", ["single", "compound", "refusal", "partial"])
def test_what_a_good_model_submits_is_proved(player, parcel, bench, tier):
    order, task = find_order(player, parcel, tier)
    assert task.tags.tier == tier
    assert task.tags.no_write == (not any(parcel.tools[step.call.name].kind == "write" for step in task.gold))
    assert task.initial.database in {f"train-{number}" for number in range(8)}
    proof = prove(parcel, attach_checker(parcel, task), bench.sandbox)
    assert proof.problems == ()
    again = draft(open_drafting(player, parcel, order, tier))
    assert again.id == task.id, "the same order and answers give the same task"


def test_the_prompt_says_who_calls_and_what_is_wanted(player, parcel):
    order, task = find_order(player, parcel, "refusal")
    prompt = open_drafting(player, parcel, order, "refusal").messages[0]["content"]
    (name,) = re.findall(r"The caller is ([A-Z]\w+ [A-Z]\w+)\.", prompt)
    assert name in task.user.known_info
    assert all(str(fact.value) in prompt for fact in task.user.identity)
    assert 'of tier "refusal": 1 request, in this order:\n- one that the policy forbids' in prompt
    assert "should rest on rule P" in prompt
    assert parcel.policy in prompt


def test_tools_are_called_on_a_session_of_its_own(player, parcel):
    """What the model tries out can be undone, and none of it leaks into the task."""
    order, task = find_order_with_parcel(player, parcel)
    wanted = task.wanted[0]
    look = call("get_parcel", tracking=wanted.arguments["tracking"])
    good = submission_of(player, parcel, order, "single")
    script = [look, call(wanted.name, **wanted.arguments), look, call("start_over"), look]
    with FaultyServer(*script, call("submit_task", **good)) as server:
        assert draft(open_drafting(server, parcel, order)).id == task.id
    before, _, changed, said, after = [m["content"] for m in server.requests[-1][0]["messages"] if m["role"] == "tool"]
    assert before == after != changed
    assert said == "The database is as it was."


class TestMending:
    def test_what_was_found_wrong_reaches_the_model(self, player, parcel):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        with FaultyServer(call("submit_task", **good), call("submit_task", **good)) as server:
            drafting = open_drafting(server, parcel, order)
            draft(drafting)
            assert draft(drafting, ["gold: it is all wrong", "and so is this"]).id == task.id
        told = server.requests[1][0]["messages"][-1]
        assert told["role"] == "tool"
        assert "- gold: it is all wrong\n- and so is this\nMend it" in told["content"]

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda s: s["requests"][0].update(tool="fly"), "'fly' is none of what the agent can do for a caller"),
            (lambda s: s["requests"][0]["arguments"].clear(), "is missing"),
            (lambda s: s["requests"][0]["arguments"].update(colour="red"), "there is no colour; the tool takes"),
            (lambda s: s["requests"][0]["arguments"].update(tracking="VP1"), "'VP1' cannot be meant here; what can: "),
            (lambda s: s["requests"][0].update(refused_by="P1"), "one that is carried out"),
            (lambda s: s["requests"][0].update(says={"tracking": "the blue one"}), "the words must hold the value"),
            (lambda s: s["requests"][0].update(says={"mood": "blue"}), "mood is no argument"),
            (
                lambda s: s["requests"][0].update(declines=["fly"]),
                "declines: fly is no tool of the caller's; those are",
            ),
            (lambda s: s.update(identity=["shoe_size"]), "the caller has no 'shoe_size'; choose from"),
            (lambda s: s["gold"][0].update(name="fly"), "gold.0.name: there is no tool 'fly'"),
            (lambda s: s["gold"][0].update(seat="user"), "belongs to the agent"),
            (lambda s: s.update(requests=[]), "requests: Tuple should have at least 1 item"),
            (lambda s: s.update(weather="fine"), "weather: Extra inputs are not permitted"),
        ],
    )
    def test_a_submission_that_makes_no_task_comes_back(self, player, parcel, spoil, said):
        order, task = find_order_with_parcel(player, parcel)
        good = submission_of(player, parcel, order, "single")
        bad = copy.deepcopy(good)
        spoil(bad)
        with FaultyServer(call("submit_task", **bad), call("submit_task", **good)) as server:
            assert draft(open_drafting(server, parcel, order)).id == task.id
        assert said in server.requests[1][0]["messages"][-1]["content"]

    def test_ones_own_words_are_taken_with_the_value_in_them(self, player, parcel):
        order, task = find_order_with_parcel(player, parcel)
        fact = next(fact for fact in task.user.requests[0].facts if fact.argument == "tracking")
        own = submission_of(player, parcel, order, "single")
        own["requests"][0]["says"] = {fact.argument: f"{fact.value}, you know"}
        own["requests"][0]["topic"] = "have it my way"
        with FaultyServer(call("submit_task", **own)) as server:
            made = draft(open_drafting(server, parcel, order))
        assert " to have it my way." in made.user.reason_for_call
        assert made.user.requests[0].facts[0].text == f"{fact.value}, you know"
        assert f"{fact.value}, you know" in made.user.reason_for_call


def try_draft(player, parcel, order):
    try:
        return draft(open_drafting(player, parcel, order))
    except DraftError:
        return None


class TestUnusableAnswers:
    BAD = (faulty.say({"content": "Let me think."}), faulty.call("{", "list_lockers"), faulty.call("{}", "fly"))

    def test_they_are_drawn_again_as_failed_calls_are(self, player, parcel):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        with FaultyServer(*self.BAD, call("submit_task", **good)) as server:
            assert draft(open_drafting(server, parcel, order)).id == task.id
        bodies = [body for body, *_ in server.requests]
        assert len(bodies) == len(self.BAD) + 1
        assert all(body["messages"] == bodies[0]["messages"] for body in bodies)
        assert len({body["seed"] for body in bodies}) == len(bodies), "another sample has another seed"

    def test_a_model_that_keeps_to_them_is_told_what_is_wrong(self, player, parcel):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        with FaultyServer(*[self.BAD[0]] * SAMPLES, call("submit_task", **good)) as server:
            assert draft(open_drafting(server, parcel, order)).id == task.id
        assert "cannot be used: it calls no tool. Go on" in server.requests[-1][0]["messages"][-1]["content"]

    def test_a_model_that_never_finds_back_ends_with_a_reason(self, parcel):
        with (
            FaultyServer(*[self.BAD[0]] * 99) as server,
            pytest.raises(DraftError, match="cannot be used, the last because it calls no tool"),
        ):
            draft(open_drafting(server, parcel, Order(1, 1)))
        assert len(server.requests) == SAMPLES * STRAYS

    def test_a_model_that_never_submits_ends_with_a_reason(self, parcel):
        with (
            FaultyServer(*[call("list_parcels", customer_id="C1")] * TURNS) as server,
            pytest.raises(DraftError, match=f"no task in {TURNS} answers"),
        ):
            draft(open_drafting(server, parcel, Order(1, 1)))
        assert len(server.requests) == TURNS

    def test_giving_up_says_why(self, parcel):
        with (
            FaultyServer(call("give_up", reason="no such parcel")) as server,
            pytest.raises(DraftError, match="gives up: no such parcel"),
        ):
            draft(open_drafting(server, parcel, Order(1, 1)))

    def test_a_full_context_ends_the_attempt(self, parcel):
        too_long = faulty.status(400, error={"code": "context_length_exceeded"})
        with FaultyServer(too_long) as server, pytest.raises(DraftError, match="longer than the model's context"):
            draft(open_drafting(server, parcel, Order(1, 1)))


LAX = 'def check(changes, calls, messages):\n    return {"passed": True, "reason": "fine"}\n'


class TestOwnCheckers:
    """A model may write checkers only where it is said to, and they are worth what the proof makes of them."""

    def hand_in(self, server_says, parcel, order, **options):
        """Return the task of the last submission and what was said about those before."""
        with FaultyServer(*(call("submit_task", **one) for one in server_says)) as server:
            made = draft(open_drafting(server, parcel, order, **options))
        return made, [m["content"] for m in server.requests[-1][0]["messages"] if m["role"] == "tool"]

    def test_nobody_is_asked_for_one_unless_it_is_wanted(self, player, parcel):
        order, _ = find_order(player, parcel, "single")
        for wanted in (False, True):
            drafting = open_drafting(player, parcel, order, writes_checkers=wanted)
            form = next(tool["function"] for tool in drafting.tools if tool["function"]["name"] == "submit_task")
            assert ("checker" in form["parameters"]["properties"]) is wanted
            assert ("`checker`: Python" in drafting.messages[0]["content"]) is wanted
            assert ("no import, while" in drafting.messages[0]["content"]) is wanted

    def test_one_that_nobody_wanted_is_no_part_of_a_task(self, player, parcel):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        made, said = self.hand_in([{**good, "checker": LAX}, good], parcel, order)
        assert "checker: Extra inputs are not permitted" in said[0]
        assert (made.checker, made.id) == ("", task.id)

    def test_one_that_is_wanted_goes_through_the_same_proof(self, player, parcel, bench):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        own = attach_checker(parcel, task).checker + "\n# mine\n"
        for source, proved in ((own, True), (LAX, False)):
            made, _ = self.hand_in([{**good, "checker": source}], parcel, order, writes_checkers=True)
            assert made.checker == source
            assert prove(parcel, made, bench.sandbox).ok is proved

    def test_one_that_is_left_out_is_compiled(self, player, parcel):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        made, _ = self.hand_in([{**good, "checker": None}], parcel, order, writes_checkers=True)
        assert (made.checker, made.id) == ("", task.id)

    def test_one_that_is_not_allowed_comes_back_at_once(self, player, parcel):
        order, _ = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        bad = {**good, "checker": "import os\n" + LAX}
        made, said = self.hand_in([bad, {**good, "checker": LAX}], parcel, order, writes_checkers=True)
        assert "- checker: checker line 1: Import is not allowed\nMend it" in said[0]
        assert made.checker == LAX

    def test_what_it_judges_wrongly_is_told_with_what_happened(self, player, parcel, bench):
        order, task = find_order(player, parcel, "single")
        good = submission_of(player, parcel, order, "single")
        pair = write_plans(parcel)[0]
        plan = pair.synthesis.model_copy(update={"tiers": {"single": 1.0}})
        pair = pair.model_copy(update={"synthesis": plan})
        with FaultyServer(call("submit_task", **{**good, "checker": LAX}), call("submit_task", **good)) as server:
            client = Client(Endpoint("m", server.base_url))
            model = ModelSynthesiser(client, writes_checkers=True)
            work = make_item(replace(bench, synthesiser=model), pair, Workflow(), order, lambda _: False)
            item = asyncio.run(work)
        assert item.task and item.task.checker == attach_checker(parcel, task).checker
        (rejection,) = item.rejections
        assert (rejection.stage, rejection.repair) == ("proof", 0)
        told = server.requests[-1][0]["messages"][-1]["content"]
        objected = [rejection.reason, *rejection.also]
        assert any(f"pass: fine{MARK}the right calls without {task.wanted[0].name}(" in problem for problem in objected)
        assert told.count(MARK) == min(SHOWN, len(objected))
        assert all(problem in told for problem in objected[:SHOWN])
        assert ("more like these" in told) is (len(objected) > SHOWN)


def test_an_edited_prompt_is_used(parcel, tmp_path):
    (tmp_path / "synthesiser.md").write_text("Write for {{ caller.name }}.")
    drafting = open_drafting(FaultyServer(), parcel, Order(1, 1), prompts=tmp_path)
    assert drafting.messages[0]["content"].startswith("Write for ")
