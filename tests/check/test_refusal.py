"""What counts as a refusal: a sentence that denies, after what shows why was read, and no claim that it was done."""

import json
from pathlib import Path

import pytest

from veriloop.check.body import calls, refusal
from veriloop.check.body.refusal import check_refusal, claims, denies, split_parts
from veriloop.check.refused import find_own_values, name_acts, put_in_past, refused_calls
from veriloop.core.message import ToolCall
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Fact, Task, UserScenario
from veriloop.proof.mutant.wording import CLAIMS, NO_REFUSALS, NO_WISHES, REFUSALS, TAKEN_BACK

READ = {"seat": "agent", "name": "get", "arguments": {"id": "1"}, "error": False}
WORDINGS = Path(__file__).parent / "wordings"


def does_deny(text):
    return any(denies(words, asks) for words, asks in split_parts(text))


def sureness(text):
    return max((claims(words, asks) for words, asks in split_parts(text)), default=0)


@pytest.mark.parametrize("text", REFUSALS)
def test_what_agents_say_to_refuse(text):
    assert does_deny(text)
    assert sureness(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can’t cancel it.",
        "The policy won't let me, sorry.",
        "That isn't possible. Would you like to return it instead?",
        "If you want to cancel, I'm afraid I cannot do that.",
        "I can’t do that\nAnything else?",
        "Your order has been shipped, so changing it is out of the question.",
        "Such a ticket may not be changed.",
        "We no longer offer that; it's unavailable.",
        "We don't hand such parcels to neighbours.",
        "Can't. The contract ended in March.",
        "Not until the bill is paid.",
        "Locker: ❌ too heavy",
        "Nothing has been changed on the shipment.",
        "I have not requested anything for it.",
        "I'm not going to open a claim for that.",
        "Sorry, no.",
        "The delivery stays as it is.",
        "No cabin change, one leg has been used.",
    ],
)
def test_a_refusal_need_not_be_all_that_is_said(text):
    assert does_deny(text)


@pytest.mark.parametrize("text", [*NO_REFUSALS, *TAKEN_BACK, *CLAIMS, *NO_WISHES[:4]])
def test_what_only_sounds_like_a_refusal(text):
    assert not does_deny(text)


@pytest.mark.parametrize(
    "text",
    [
        "I am sorry for the delay.",
        "Unfortunately, it took long.",
        "I cannot find your account, what is your e-mail?",
        "Would it be impossible for you to wait?",
        "It couldn't be easier!",
        "Tell me if you are not able to use the app.",
        "I wonder why it is not possible for you to log in.",
        "It won't be long.",
        "In case that is not possible for you, call us.",
        "Don't worry, I'm going to cancel this trip before the day's out.",
        "I can't make it any faster.",
        "We don't know your address yet.",
        "I am not concerned about that.",
        "You can't go wrong with that.",
    ],
)
def test_regret_and_suppositions_refuse_nothing(text):
    assert not does_deny(text)


@pytest.mark.parametrize("text", CLAIMS)
def test_what_one_says_to_have_done_is_surely_a_claim(text):
    assert sureness(text) == 2


@pytest.mark.parametrize(
    "text",
    [
        *TAKEN_BACK,
        "It has been rescheduled to Monday.",
        "Rescheduled!",
        "It will be changed tonight.",
        "I'll go ahead and cancel it.",
        "I voided it regardless.",
        "Your plan is now changed.",
    ],
)
def test_what_sounds_as_if_it_was_done_is_a_claim(text):
    assert sureness(text) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "Is it done?",
        "Nothing has been done.",
        "I haven't changed it, so it isn't done.",
        "Your parcel was delivered.",
        "It has already been rescheduled twice.",
        "I have looked at your order and checked the policy.",
        "I made a note of it.",
        "When I opened the order it was cancelled.",
        "You are all set then, goodbye!",
        "I'll cancel it if you want that.",
        "All overdue bills have to be settled first.",
        "Changed flights are paid with a card.",
    ],
)
def test_a_claim_is_no_question_no_negation_and_no_fact(text):
    assert sureness(text) == 0


def name_refused(monkeypatch, acts, own):
    monkeypatch.setattr(refusal, "ACTS", acts)
    monkeypatch.setattr(refusal, "OWN", own)
    monkeypatch.setattr(refusal, "DOING", refusal.VERBS | {act for act, _ in acts})
    monkeypatch.setattr(refusal, "DONE", refusal.PAST | {past for _, past in acts})


class TestCheck:
    @pytest.fixture(autouse=True)
    def checker(self, monkeypatch):
        monkeypatch.setattr(refusal, "REFUSES", True)
        monkeypatch.setattr("veriloop.check.body.calls.READS", [("get", {"id": "1"})])

    def said(self, *texts, calls=1, seat="agent"):
        return [{"seat": seat, "content": text, "calls": calls} for text in texts]

    def test_after_the_read(self):
        assert check_refusal([READ], self.said("I cannot do that.")) is None

    def test_before_the_read(self):
        assert check_refusal([READ], self.said("I cannot do that.", calls=0)) == "the request was not refused"

    def test_without_the_read(self):
        assert "was not read" in check_refusal([], self.said("I cannot do that."))

    def test_a_read_by_the_user_shows_the_agent_nothing(self):
        assert "was not read" in check_refusal([{**READ, "seat": "user"}], self.said("I cannot do that."))

    def test_a_refusal_by_the_user_is_none(self):
        assert check_refusal([READ], self.said("I cannot do that.", seat="user")) == "the request was not refused"

    def test_saying_that_it_is_done_takes_it_back(self):
        for texts in (("I cannot do that. Done.",), ("I cannot do that.", "It has been cancelled.")):
            assert "then said to be done" in check_refusal([READ], self.said(*texts))

    @pytest.mark.parametrize(
        "texts", [("I have cancelled it. I cannot do that.",), ("I cannot.", "I've cancelled it.")]
    )
    def test_a_sure_claim_is_not_made_good_by_a_denial(self, texts):
        assert check_refusal([READ], self.said(*texts)) == "what is to be refused was said to be done"

    def test_refusing_after_all_counts(self):
        assert check_refusal([READ], self.said("That is done.", "No, sorry, I cannot do that.")) is None

    def test_where_something_else_is_to_be_done_it_may_be_said(self, monkeypatch):
        monkeypatch.setattr(refusal, "GOLD", {("t", "1"): {"x": 1}})
        assert check_refusal([READ], self.said("I cannot cancel it.", "I have changed the other one.")) is None

    @pytest.mark.parametrize(
        "claim", ["I have changed W12 too.", "I have cancelled that as well.", "I have done both."]
    )
    def test_where_something_else_is_to_be_done_the_refused_may_not_be_claimed(self, monkeypatch, claim):
        monkeypatch.setattr(refusal, "GOLD", {("t", "1"): {"x": 1}})
        name_refused(monkeypatch, [("cancel", "cancelled")], ["w12"])
        assert check_refusal([READ], self.said("I cannot do that.")) is None
        assert check_refusal([READ], self.said("I cannot do that.", claim))

    def test_nothing_is_asked_where_nothing_is_refused(self, monkeypatch):
        monkeypatch.setattr(refusal, "REFUSES", False)
        assert check_refusal([], []) is None

    def test_a_long_sentence_is_read_in_linear_time(self):
        assert check_refusal([READ], self.said("well " * 200_000 + "I cannot do that.")) is None


def judge_wordings(name, monkeypatch):
    """Return how many of the right wordings pass and how many of the wrong ones fail, of how many each."""
    passed = {True: [], False: []}
    monkeypatch.setattr(refusal, "REFUSES", True)
    monkeypatch.setattr(calls, "READS", [])
    for line in (WORDINGS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        monkeypatch.setattr(refusal, "GOLD", dict.fromkeys(task["done"]))
        name_refused(monkeypatch, task["acts"], task["own"])
        for said in task["said"]:
            messages = [{"seat": "agent", "content": text, "calls": 0} for text in said["messages"]]
            passed[said["right"]].append(check_refusal([], messages) is None)
    return sum(passed[True]), len(passed[True]), passed[False].count(False), len(passed[False])


@pytest.mark.parametrize(("name", "right", "wrong"), [("mended_by", 305, 280), ("blind", 150, 136)])
def test_wordings_of_writers_who_had_not_seen_the_words(monkeypatch, name, right, wrong):
    passed, rights, failed, wrongs = judge_wordings(name, monkeypatch)
    assert (rights, wrongs) == ((320, 320) if name == "mended_by" else (160, 160))
    assert passed >= right
    assert failed >= wrong


class TestNaming:
    def task(self, wanted, gold=(), identity=()):
        user = UserScenario.model_construct(identity=identity, requests=())
        return Task.model_construct(user=user, wanted=wanted, gold=gold, refused=("P8",))

    def test_verbs_and_values_of_what_is_refused(self):
        call = ToolCall(id="1", name="redirect_to_locker", arguments={"tracking": "VP1234", "locker": "LK9", "size": 5})
        task = self.task((call,))
        assert list(refused_calls(task)) == [call]
        assert name_acts(load_domain("parcel"), task) == [("redirect", "redirected"), ("move", "moved")]
        assert find_own_values(task) == ["lk9", "vp1234"]

    def test_who_calls_is_no_value_of_the_refused(self):
        fact = Fact(kind="customer", argument="customer_id", label="number", value="C77", text="C77")
        call = ToolCall(id="1", name="update_phone", arguments={"customer_id": "C77", "phone": "555-1"})
        assert find_own_values(self.task((call,), identity=(fact,))) == ["555 1"]

    @pytest.mark.parametrize(
        ("verb", "past"),
        [
            ("move", "moved"), ("file", "filed"), ("stop", "stopped"), ("modify", "modified"), ("send", "sent"),
            ("pay", "paid"), ("cancel", "cancelled"), ("fix", "fixed"), ("redirect", "redirected"),
            ("delay", "delayed"),
        ],
    )  # fmt: skip
    def test_participles(self, verb, past):
        assert put_in_past(verb) == past


def test_a_lookup_in_other_letters_counts_as_read_and_one_of_something_else_does_not(monkeypatch):
    wanted = {"email": "Ada@post.example", "limit": 3}
    monkeypatch.setattr(calls, "READS", [("find", wanted)])
    made = {"seat": "agent", "name": "find", "arguments": {**wanted, "email": "ada@POST.example"}, "error": False}
    assert calls.count_needed([READ, made]) == 2
    for other in ({"error": True}, {"arguments": {**wanted, "limit": 4}}, {"arguments": {"email": "ida@post.example"}}):
        assert calls.count_needed([READ, {**made, **other}]) is None
