"""What the scripted user says: only what its script holds, all of it, and never yes to something else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.message import ToolCall, ToolResult, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Fact, Request, UserScenario
from veriloop.engine.plan import PERSONAS
from veriloop.engine.scenario import render_user
from veriloop.rollout.baseline import CLOSING
from veriloop.rollout.episode import GREETING
from veriloop.rollout.player import View
from veriloop.rollout.quality import measure_user
from veriloop.rollout.scripted import STOP, TRANSFER, answer
from veriloop.rollout.wording import is_said

TOOLS = tuple(tool for tool in load_parcel().tools.values() if tool.seat == "user")
EMAIL = Fact(label="email address", text="bo.lin12@post.example", value="bo.lin12@post.example", kind="email")
NUMBER = Fact(label="tracking number", text="VP12345678", value="VP12345678", kind="tracking", argument="tracking")
DAYS = Fact(label="number of days", text="2 days", value=2, kind="days", argument="days")
HOLD = Request(topic="keep a parcel at the depot", facts=(NUMBER, DAYS))
DAMAGE = Request(topic="report a damaged parcel", facts=(NUMBER,))


def scenario(persona: str = "terse", requests: tuple[Request, ...] = (HOLD,)) -> UserScenario:
    return render_user("Bo Lin", persona, (EMAIL,), requests)


def agent(text: str) -> Turn:
    return Turn(seat="agent", content=text)


def user(text: str) -> Turn:
    return Turn(seat="user", content=text)


def say(*turns: Turn, script: UserScenario | None = None, key: str = "k"):
    return answer(View(key, "t", "user", "", TOOLS, (agent(GREETING), *turns), 0, script or scenario()))


class TestWholeWords:
    @pytest.mark.parametrize(
        ("text", "spoken", "found"),
        [
            ("2 days", "for 2 days.", True),
            ("2 days", "for 12 days", False),
            ("2 days", "2 Days", True),
            ("VP1", "VP12", False),
            ("ada@post.example", "nada@post.example", False),
            ("$5", "it costs $5.", True),
            ("(red)", "the lamp (red), please", True),
            ("a.b", "axb", False),
        ],
    )
    def test_a_text_is_said_as_whole_words(self, text: str, spoken: str, found: bool):
        assert is_said(text, spoken) is found

    @given(st.text(min_size=1, max_size=8), st.text(max_size=8), st.text(max_size=8))
    def test_what_stands_alone_is_always_found(self, text: str, before: str, after: str):
        assert is_said(text, f"{before} {text} {after}")


class TestConfirmations:
    @pytest.mark.parametrize("days", [12, 3, 20, 22])
    def test_another_number_is_corrected_even_if_it_ends_alike(self, days: int):
        said = say(user("hold"), agent(f"I will hold VP12345678 for {days} days. Shall I go ahead?")).content
        assert said.startswith("No.")
        assert "2 days" in said
        assert "VP12345678" not in said

    def test_another_parcel_is_corrected(self):
        said = say(user("hold"), agent("I will hold VP123456789 for 2 days. Shall I go ahead?")).content
        assert said.startswith("No.")
        assert "VP12345678" in said

    @pytest.mark.parametrize(
        "question",
        ["Shall I go ahead?", "Should I do that?", "Is that correct?", "Do you confirm? (yes/no)", "Please confirm."],
    )
    def test_all_ways_of_asking_for_a_yes_are_understood(self, question: str):
        said = say(user("hold"), agent(f"VP12345678 is held for 2 days. {question}")).content
        assert said.lower().startswith("yes")

    def test_a_vague_question_is_answered_with_the_details_first_and_then_with_yes(self):
        first = say(user("hold"), agent("Shall I go ahead?"))
        assert first.content.startswith("No.")
        assert {"VP12345678", "2 days"} <= {fact.text for fact in HOLD.facts if fact.text in first.content}
        second = say(user("hold"), agent("Shall I go ahead?"), user(first.content), agent("Shall I go ahead?"))
        assert second.content.startswith("Yes")


class TestRequests:
    SCRIPT = scenario(requests=(HOLD, DAMAGE))

    def test_each_request_has_its_own_facts(self):
        question = agent("Which number of days?")
        assert "2 days" in say(user("hold"), question, script=self.SCRIPT).content
        later = say(user("hold"), agent(f"Done. {CLOSING}"), user("report"), question, script=self.SCRIPT).content
        assert "2 days" not in later
        assert DAMAGE.topic in later

    @pytest.mark.parametrize("closing", [CLOSING, "Anything else?", "What else can I do?", "Can I do something else?"])
    def test_all_ways_of_closing_a_request_are_understood(self, closing: str):
        one = [user("hold"), agent(f"Done. {closing}")]
        assert DAMAGE.topic in say(*one, script=self.SCRIPT).content
        assert STOP in say(*one, user("report"), agent(closing), script=self.SCRIPT).content

    def test_a_transfer_ends_the_talk_whatever_is_open(self):
        said = say(user("hold"), agent("You are being transferred to a human."), script=self.SCRIPT).content
        assert said == TRANSFER

    def test_it_never_stops_while_something_is_open(self):
        for text in ("Done.", "Goodbye!", "Thanks for calling.", "I cannot do that."):
            assert STOP not in say(user("hold"), agent(text), script=self.SCRIPT).content


class TestOwnSteps:
    SCRIPT = scenario(requests=(DAMAGE,))
    ASK = agent("Please take a photo of the damage in your app.")

    def step(self, *, error: bool) -> Turn:
        call = ToolCall(id="u", name="take_damage_photo", arguments={"email": EMAIL.text, "tracking": NUMBER.text})
        result = ToolResult(call_id="u", content="Error: no network" if error else "photo sent", error=error)
        return Turn(seat="user", tool_calls=(call,), results=(result,))

    def test_arguments_come_from_the_script(self):
        (call,) = say(user("report"), self.ASK, script=self.SCRIPT).tool_calls
        assert call.arguments == {"email": EMAIL.text, "tracking": NUMBER.text}

    def test_a_step_done_is_not_done_twice(self):
        turns = (user("report"), self.ASK, self.step(error=False), user("Done."), self.ASK)
        message = say(*turns, script=self.SCRIPT)
        assert not message.tool_calls
        assert "already" in message.content

    def test_a_step_that_failed_is_reported_and_tried_again(self):
        failed = (user("report"), self.ASK, self.step(error=True))
        report = say(*failed, script=self.SCRIPT).content
        assert "no network" in report
        again = say(*failed, user(report), self.ASK, script=self.SCRIPT)
        assert [call.name for call in again.tool_calls] == ["take_damage_photo"]

    def test_a_step_whose_arguments_the_script_lacks_is_not_made(self):
        unknown = self.SCRIPT.model_copy(update={"identity": ()})
        assert not say(user("report"), self.ASK, script=unknown).tool_calls


QUESTIONS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            ["Shall I go ahead?", "email address", "tracking number", "number of days", "12 days", "VP99999999",
             "please take a photo of the damage in your app", "turn on locker pickup", "anything else?", "cannot",
             "Is that correct?", "What would you like me to do?", "your name", "transferred"]
        ),
        max_size=5,
    ).map(" ".join),
)  # fmt: skip


@given(
    st.lists(QUESTIONS, max_size=6),
    st.sampled_from(sorted(PERSONAS)),
    st.sampled_from([(HOLD,), (HOLD, DAMAGE), (DAMAGE,)]),
)
def test_whatever_the_agent_says_the_user_invents_nothing_and_stops_last(questions, persona, requests):
    script = scenario(persona, requests)
    turns: list[Turn] = [agent(GREETING)]
    stop = StopReason.MAX_TURNS
    for question in [*questions, None]:
        message = answer(View("k", "t", "user", "", TOOLS, tuple(turns), 0, script))
        results = tuple(ToolResult(call_id=call.id, content="done") for call in message.tool_calls)
        turns.append(Turn(**dict(message), seat="user", results=results))
        if STOP in message.content or TRANSFER in message.content:
            stop = StopReason.USER_STOP if STOP in message.content else StopReason.TRANSFER
            break
        if question is not None and not message.tool_calls:
            turns.append(agent(question))
    trace = Trace(
        domain="parcel", task_id="t", players={}, seed=0, turns=tuple(turns), changes=(), digest="", stop=stop
    )
    found = measure_user(trace, script)
    assert not found.invented
    assert not found.early_stop
    for turn in turns:
        for call in turn.tool_calls:
            assert set(call.arguments.values()) <= {EMAIL.value, NUMBER.value}


class TestQualityOfNumbers:
    """A number is invented unless it stands in the script as a whole, not as a part of an identifier."""

    def measure(self, *turns: Turn):
        trace = Trace(
            domain="parcel", task_id="t", players={}, seed=0, turns=(agent(GREETING), *turns), changes=(), digest="",
            stop=StopReason.USER_STOP,
        )  # fmt: skip
        return measure_user(trace, scenario())

    CLOSED = (agent(f"Done. {CLOSING}"), user(STOP))

    def test_another_number_of_days_is_invented_though_it_is_a_digit_of_an_identifier(self):
        found = self.measure(user("Hold VP12345678 for 2 days, no, 7 days."), *self.CLOSED)
        assert found.invented == ("7",)

    def test_twelve_days_do_not_tell_two(self):
        found = self.measure(user("Hold VP12345678 for 12 days."), *self.CLOSED)
        assert found.untold == ("number of days",)
        assert found.invented == ("12",)

    def test_numbers_in_the_users_own_results_are_no_invention(self):
        call = ToolCall(id="u", name="check_app", arguments={"email": EMAIL.text})
        seen = Turn(seat="user", tool_calls=(call,), results=(ToolResult(call_id="u", content="3 photos"),))
        turns = (user("Hold VP12345678 for 2 days."), agent("What does your app show?"), seen, user("It shows 3."))
        assert self.measure(*turns, *self.CLOSED).ok

    @pytest.mark.parametrize("text", ["IPX4", "4K", "7-inch", "bo.lin12@post.example"])
    def test_values_are_read_as_wholes(self, text: str):
        turns = (user(f"VP12345678, 2 days, {text}."), *self.CLOSED)
        found = self.measure(*turns)
        assert found.invented == (() if text == EMAIL.text else (text.lower(),))


def test_wordings_carry_every_fact_whole():
    """Every way of telling a fact holds its label and its text, so that nothing gets lost in the variety."""
    for number in range(40):
        said = say(user("hold"), agent("What is the number of days?"), key=str(number)).content
        assert re.search(r"number of days", said, re.IGNORECASE)
        assert is_said("2 days", said)


class TestFirstWords:
    """What a user says at first and what they say then."""

    SLIP = EMAIL.model_copy(update={"slip": "bo.lin13@post.example"})
    WHIM = DAYS.model_copy(update={"whim": "9 days"})

    def script(self, persona: str = "terse") -> UserScenario:
        return render_user("Bo Lin", persona, (self.SLIP,), (Request(topic=HOLD.topic, facts=(NUMBER, self.WHIM)),))

    def test_a_slip_is_told_once_and_mended_when_asked_again(self):
        ask = agent("What is your email address?")
        first = say(user("hold"), ask, script=self.script()).content
        assert is_said(self.SLIP.slip, first) and not is_said(self.SLIP.text, first)
        then = say(user("hold"), ask, user(first), ask, script=self.script()).content
        assert is_said(self.SLIP.text, then) and not is_said(self.SLIP.slip, then)

    def test_a_whim_is_given_up_when_it_is_repeated(self):
        first = say(user("hold"), agent("For what number of days?"), script=self.script()).content
        assert is_said("9 days", first) and not is_said("2 days", first)
        asked = agent("I will hold VP12345678 for 9 days. Shall I go ahead?")
        then = say(user("hold"), user(first), asked, script=self.script()).content
        assert then.startswith("No") and is_said("2 days", then) and not is_said("9 days", then)
        right = agent("I will hold VP12345678 for 2 days. Shall I go ahead?")
        assert say(user("hold"), user(first), asked, user(then), right, script=self.script()).content.startswith("Yes")

    def test_a_whim_is_given_up_when_it_is_asked_for_again(self):
        ask = agent("For what number of days?")
        then = say(user("hold"), ask, user("9 days is the number of days."), ask, script=self.script()).content
        assert is_said("2 days", then)

    def test_a_number_that_stands_there_by_chance_is_no_repetition(self):
        """The right value somewhere in the sentence does not hide that the wrong one was repeated."""
        asked = agent("I will hold VP12345678 for 9 days, that is 2 days longer. Shall I go ahead?")
        assert say(user("hold 9 days"), asked, script=self.script()).content.startswith("No")

    @pytest.mark.parametrize(("persona", "tells"), [("polite", True), ("open", True), ("terse", False)])
    def test_asides_are_for_those_who_like_to_talk(self, persona: str, tells: bool):
        script = render_user("Bo", persona, (EMAIL,), (HOLD,), ("You are on your lunch break.",))
        said = [say(script=script, key=str(n)).content for n in range(20)]
        assert all("I am on my lunch break." in text for text in said) is tells
        assert not any(text.startswith("I am on my lunch") for text in said)


class TestNotKnowing:
    def test_what_the_script_does_not_hold_is_not_known_and_everything_told_once_more_after_that(self):
        told = user("Hold VP12345678 for 2 days.")
        first = say(told, agent("What is your shoe size?")).content
        assert not is_said("VP12345678", first)
        again = say(told, agent("What is your shoe size?"), user(first), agent("And your hat size?")).content
        assert is_said("VP12345678", again) and is_said("2 days", again)

    def test_who_is_asked_what_they_want_says_it(self):
        told = user("Hold VP12345678 for 2 days.")
        assert HOLD.topic in say(told, agent("What would you like me to do?")).content

    def test_a_refusal_is_accepted_and_then_the_talk_ends(self):
        turns = [user("Hold VP12345678 for 2 days."), agent("I cannot do that.")]
        first = say(*turns).content
        assert STOP not in first and not is_said("VP12345678", first)
        assert STOP in say(*turns, user(first), agent("Have a nice day.")).content
        assert STOP not in say(*turns, user(first), agent("Can I do that tomorrow?")).content

    def test_the_new_number_is_not_the_old_one(self):
        old = Fact(label="phone number", text="555-111-2222", value="555-111-2222", kind="phone")
        new = Fact(label="new phone number", text="555-333-4444", value="555-333-4444", argument="phone")
        script = render_user("Bo", "terse", (old,), (Request(topic="update the phone number", facts=(new,)),))
        said = say(user("hi"), agent("What is the new phone number?"), script=script).content
        assert is_said(new.text, said) and not is_said(old.text, said)
        both = say(user("hi"), agent("What are your phone number and the new phone number?"), script=script).content
        assert is_said(new.text, both) and is_said(old.text, both)
