"""Scripted players: the user, the oracle, the baselines, the expert of the parcel desk."""

import inspect
import itertools

import pytest

from veriloop.check.sandbox import judge
from veriloop.core.errors import InputError
from veriloop.core.message import Message, ToolCall, ToolResult, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.task import Fact, Request, UserScenario
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker
from veriloop.proof.replay import replay
from veriloop.rollout.baseline import CLOSING, Noop, RandomCaller, Transfer
from veriloop.rollout.driver import play
from veriloop.rollout.episode import GREETING, Episode
from veriloop.rollout.experts import EXPERTS, load_expert
from veriloop.rollout.experts.parcel import ParcelExpert
from veriloop.rollout.oracle import Gold, Oracle
from veriloop.rollout.player import View
from veriloop.rollout.quality import measure_user
from veriloop.rollout.scripted import ScriptedUser, answer, asks_for, count_settled

EMAIL = Fact(label="email address", text="ada@post.example", value="ada@post.example", kind="email")
NUMBER = Fact(label="tracking number", text="VP12345678", value="VP12345678", kind="tracking", argument="tracking")
DAY = Fact(label="delivery day", text="friday", value="friday", kind="day", argument="day")
DAMAGED = Request(topic="report a damaged parcel", facts=(NUMBER,))
SCENARIO = UserScenario(
    persona="You are brief: you answer what you are asked and no more.",
    reason_for_call="You want to reschedule a delivery. The tracking number is VP12345678. The delivery day is friday.",
    known_info="Your name is Ada Bell. Your email address is ada@post.example.",
    unknown_info="",
    task_instructions="",
    identity=(EMAIL,),
    requests=(
        Request(topic="reschedule a delivery", facts=(NUMBER, DAY)),
        DAMAGED,
    ),
)


@pytest.fixture(scope="module")
def many(parcel):
    pairs = write_plans(parcel)
    drafts = [synthesise(parcel, pairs[item % 2], Order(seed=21, item=item)) for item in range(80)]
    return [attach_checker(parcel, draft) for draft in drafts if draft]


def agent(text):
    return Turn(seat="agent", content=text)


def user(text):
    return Turn(seat="user", content=text)


def ask(parcel, *turns, scenario=SCENARIO, seed=0):
    tools = tuple(tool for tool in parcel.tools.values() if tool.seat == "user")
    greeting = agent(GREETING)
    view = View("k", "t", "user", "", tools, (greeting, *turns), seed, scenario)
    return answer(view)


class TestScriptedUser:
    def test_it_opens_with_its_wish(self, parcel):
        assert "reschedule a delivery" in ask(parcel).content

    def test_an_open_person_tells_all_at_once(self, parcel):
        scenario = SCENARIO.model_copy(update={"persona": "You are open: you say at once what you want."})
        said = ask(parcel, scenario=scenario).content
        assert all(fact.text in said for fact in (EMAIL, NUMBER, DAY))

    def test_a_brief_person_tells_nothing_unasked(self, parcel):
        said = ask(parcel).content
        assert not any(fact.text in said for fact in (EMAIL, NUMBER, DAY))

    @pytest.mark.parametrize(
        ("question", "told", "kept"),
        [
            ("What is your email address?", [EMAIL], [NUMBER, DAY]),
            ("Your tracking number and delivery day, please?", [NUMBER, DAY], [EMAIL]),
            ("Sorry?", [EMAIL, NUMBER, DAY], []),
        ],
    )
    def test_it_answers_what_it_is_asked(self, parcel, question, told, kept):
        said = ask(parcel, user("I want to reschedule a delivery."), agent(question)).content
        assert all(fact.text in said for fact in told)
        assert not any(fact.text in said for fact in kept)

    def test_it_confirms_what_is_right_and_corrects_what_is_wrong(self, parcel):
        opened = user("I want to reschedule a delivery.")
        right = ask(parcel, opened, agent("I will deliver VP12345678 on friday. Shall I go ahead?"))
        wrong = ask(parcel, opened, agent("I will deliver VP12345678 on monday. Shall I go ahead?"))
        assert right.content.lower().startswith("yes")
        assert wrong.content.startswith("No.")
        assert "friday" in wrong.content

    def test_an_open_question_is_not_confirmed(self, parcel):
        said = ask(parcel, user("hello"), agent("What would you like me to do?")).content
        assert not said.lower().startswith(("yes", "no."))
        assert "reschedule a delivery" in said

    def test_it_raises_the_next_request_only_after_the_first_is_closed(self, parcel):
        turns = [user("I want to reschedule a delivery."), agent(f"Done. {CLOSING}")]
        assert "report a damaged parcel" in ask(parcel, *turns).content

    def test_it_stops_only_after_the_last_request(self, parcel):
        turns = [
            user("I want to reschedule a delivery."), agent(f"Done. {CLOSING}"),
            user("I want to report a damaged parcel."), agent(f"Done. {CLOSING}"),
        ]  # fmt: skip
        for count in range(1, 4):
            assert "###STOP###" not in ask(parcel, *turns[:count]).content or count % 2
        assert "###STOP###" in ask(parcel, *turns).content

    def test_it_ends_when_it_is_transferred(self, parcel):
        said = ask(parcel, user("hello"), agent("You are being transferred to a human agent."))
        assert said.content == "###TRANSFER###"

    @pytest.mark.parametrize(
        "words",
        [
            "Please take a photo of the damage in your app.",
            "Could you photograph it? I mean: take a photo, in the app, that shows the damage.",
        ],
    )
    def test_it_acts_in_its_app_when_asked(self, parcel, words):
        turns = [
            user("I want to reschedule a delivery."), agent(f"Done. {CLOSING}"),
            user("I want to report a damaged parcel."), agent(words),
        ]  # fmt: skip
        (call,) = ask(parcel, *turns).tool_calls
        assert call.name == "take_damage_photo"
        assert call.arguments == {"email": EMAIL.value, "tracking": NUMBER.value}

    def test_it_says_what_it_is_not_able_to_do(self, parcel):
        unable = DAMAGED.model_copy(
            update={"declines": {"take_damage_photo": "take a photo of the damage in your app"}}
        )
        said = ask(
            parcel, user("It is damaged."), agent("Please take a photo of the damage in your app."),
            scenario=SCENARIO.model_copy(update={"requests": (unable,)}),
        )  # fmt: skip
        assert not said.tool_calls
        assert "take a photo of the damage in your app" in said.content
        assert any(word in said.content for word in ("not able", "unable", "can't"))

    def test_it_reports_a_step_that_failed(self, parcel):
        call = ToolCall(id="1", name="take_damage_photo", arguments={})
        result = ToolResult(call_id="1", content="Error: no app", error=True)
        step = Turn(seat="user", tool_calls=(call,), results=(result,))
        assert "did not work" in ask(parcel, user("hello"), agent("take a photo"), step).content

    def test_other_sentences_do_not_set_it_off(self, parcel):
        tool = parcel.tools["enable_locker_pickup"]
        assert asks_for(tool, "Please turn on locker pickup in your app.")
        assert not asks_for(tool, "Which locker should it go to?")
        assert not asks_for(tool, "The app is on.")

    def test_its_wording_varies_with_the_episode_but_not_from_run_to_run(self, parcel):
        def opening(key):
            return answer(View(key, "t", "user", "", (), (agent(GREETING),), 0, SCENARIO)).content

        assert len({opening(str(number)) for number in range(30)}) > 2
        assert opening("7") == opening("7")

    def test_it_sits_in_no_other_seat(self):
        with pytest.raises(ValueError, match="user's seat"):
            ScriptedUser().reply([View("k", "t", "agent", "", (), (agent(GREETING),), 0)])

    def test_settled_requests_are_counted_without_the_greeting(self):
        assert count_settled([agent("Anything else?"), agent("Anything else?"), user("anything else")]) == 1


def finished(turns, stop=StopReason.USER_STOP):
    return Trace(
        domain="parcel",
        task_id="t",
        players={},
        seed=0,
        turns=(agent(GREETING), *turns),
        changes=(),
        digest="",
        stop=stop,
    )


class TestQuality:
    RIGHT = (
        user("I want to reschedule a delivery. VP12345678, friday."), agent(f"Done. {CLOSING}"),
        user("Report a damaged parcel, VP12345678."), agent(f"Done. {CLOSING}"), user("###STOP###"),
    )  # fmt: skip

    def test_a_user_that_does_right(self):
        assert measure_user(finished(self.RIGHT), SCENARIO).ok

    def test_withholding_is_seen(self):
        turns = (user("I want to reschedule a delivery. VP12345678."), *self.RIGHT[1:])
        found = measure_user(finished(turns), SCENARIO)
        assert not found.goal_told
        assert found.untold == ("delivery day",)

    def test_inventing_is_seen(self):
        turns = (user("VP99999999 on friday, I mean VP12345678."), *self.RIGHT[1:])
        assert measure_user(finished(turns), SCENARIO).invented == ("vp99999999",)

    def test_repeating_the_agents_numbers_is_not_inventing(self):
        turns = (*self.RIGHT[:1], agent("Is it parcel VP00000001?"), user("No, not VP00000001."), *self.RIGHT[1:])
        assert measure_user(finished(turns), SCENARIO).invented == ()

    def test_stopping_early_is_seen(self):
        turns = (self.RIGHT[0], agent("What is your email address?"), user("###STOP###"))
        assert measure_user(finished(turns), SCENARIO).early_stop

    def test_an_agent_that_gives_up_excuses_the_user(self):
        turns = (user("reschedule a delivery"), agent("I cannot do that."), user("###STOP###"))
        assert measure_user(finished(turns), SCENARIO).ok

    def test_a_dialogue_cut_short_is_not_the_users_fault(self):
        assert measure_user(finished(self.RIGHT[:1], StopReason.MAX_TURNS), SCENARIO).ok

    def test_the_scripted_user_has_no_fault_in_any_dialogue(self, parcel, many):
        players = {"agent": load_expert("parcel"), "user": ScriptedUser()}
        for task in many:
            assert measure_user(play(Episode(parcel, task, seed=5), players), task.user).ok


class TestExpert:
    def test_it_is_given_no_task(self):
        assert not inspect.signature(ParcelExpert).parameters

    def test_it_solves_tasks_of_every_tier_for_several_seeds(self, parcel, many):
        assert {task.tags.tier for task in many} == {"single", "compound", "refusal", "partial"}
        assert any(step.seat == "user" for task in many for step in task.gold)
        players = {"agent": load_expert("parcel"), "user": ScriptedUser()}
        for task, seed in itertools.product(many, range(2)):
            trace = play(Episode(parcel, task, seed=seed), players)
            handed_over = "transfer_to_human" in task.tags.tools
            assert trace.stop is (StopReason.TRANSFER if handed_over else StopReason.USER_STOP)
            assert judge(task, trace).passed, (task.user.reason_for_call, judge(task, trace))

    def test_an_unknown_address_is_asked_for_again(self, parcel, many):
        task = many[0]
        view = Episode(parcel, task).pending()
        lost = ToolCall(id="1", name="find_customer", arguments={"email": "x9@post.example"})
        turns = (
            *view.turns,
            user("My email address: x9@post.example."),
            Turn(seat="agent", tool_calls=(lost,), results=(ToolResult(call_id="1", content="Error", error=True),)),
        )
        again = View("k", "t", "agent", "", (), turns, 0)
        (message,) = ParcelExpert().reply([again])
        assert not message.tool_calls
        assert "could not find" in message.content

    def test_it_asks_again_after_a_no(self, parcel, many):
        class Doubting(ScriptedUser):
            """Says no to the first confirmation, with the facts again."""

            def reply(self, views):
                return [self._doubt(view, message) for view, message in zip(views, super().reply(views), strict=True)]

            def _doubt(self, view, message):
                said = [turn.content for turn in view.turns if turn.seat == "user"]
                if message.content.lower().startswith("yes") and "No, wait." not in said:
                    return Message(content="No, wait.")
                return message

        task = next(task for task in many if task.tags.tier == "single" and not task.refused)
        trace = play(Episode(parcel, task), {"agent": ParcelExpert(), "user": Doubting()})
        assert judge(task, trace).passed
        questions = [turn for turn in trace.turns if turn.seat == "agent" and "I will" in turn.content]
        assert len(questions) == 2

    def test_domains_without_an_expert_say_so(self):
        assert set(EXPERTS) == {"parcel", "tau2/airline", "tau2/retail", "tau2/telecom"}
        with pytest.raises(InputError, match="no scripted expert"):
            load_expert("library.py")


class TestPlayersThatSeeTheGold:
    @pytest.mark.parametrize("kind", [Gold, Oracle])
    def test_they_reach_the_gold_state_on_every_task(self, parcel, many, kind):
        players = {"agent": kind(parcel, {task.id: task for task in many}), "user": ScriptedUser()}
        for task in many:
            trace = play(Episode(parcel, task), players)
            assert trace.digest == replay(parcel, task, task.gold).digest
            assert judge(task, trace).passed

    def test_the_oracle_asks_for_a_yes_before_it_writes(self, parcel, many):
        task = next(task for task in many if task.tags.tier == "single")
        players = {"agent": Oracle(parcel, {task.id: task}), "user": ScriptedUser()}
        spoken = [turn.spoken for turn in play(Episode(parcel, task), players).turns]
        assert any("Shall I go ahead?" in text for text in spoken)

    def test_values_to_tell_are_told(self, parcel, many):
        task = next(t for t in many if t.tags.tier == "single").model_copy(update={"told": ("EUR 7",)})
        players = {"agent": Gold(parcel, {task.id: task}), "user": ScriptedUser()}
        assert any("EUR 7" in turn.spoken for turn in play(Episode(parcel, task), players).turns)


class TestBaselines:
    @pytest.mark.parametrize("player", [Noop(), Transfer(), RandomCaller()])
    def test_they_play_to_an_end_and_do_not_solve_writes(self, parcel, many, player):
        passed = 0
        for task in many:
            trace = play(Episode(parcel, task, seed=1), {"agent": player, "user": ScriptedUser()})
            assert trace.stop is not StopReason.PLAYER_ERROR
            passed += judge(task, trace).passed
        assert passed <= (0 if not isinstance(player, RandomCaller) else len(many) // 10)

    def test_transfer_uses_the_tool_once(self, parcel, many):
        trace = play(Episode(parcel, many[0]), {"agent": Transfer(), "user": ScriptedUser()})
        calls = [call.name for turn in trace.turns for call in turn.tool_calls]
        assert calls == ["transfer_to_human"]
        assert trace.stop is StopReason.TRANSFER

    def test_random_calls_fit_the_types(self, parcel, many):
        for task in many[:20]:
            trace = play(Episode(parcel, task, seed=2), {"agent": RandomCaller(), "user": ScriptedUser()})
            for turn in trace.turns:
                for call, result in zip(turn.tool_calls, turn.results, strict=True):
                    assert call.name in parcel.tools
                    assert "invalid arguments" not in result.content

    def test_random_is_the_same_for_the_same_seed(self, parcel, many):
        def once(seed):
            return play(Episode(parcel, many[1], seed=seed), {"agent": RandomCaller(), "user": ScriptedUser()})

        assert once(3) == once(3)
        assert len({once(seed).model_dump_json() for seed in range(8)}) > 1
