"""What counts as a refusal: a sentence that denies, after what shows why was read, and not taken back."""

import pytest

from veriloop.check.body import calls, refusal
from veriloop.check.body.refusal import check_refusal, claims, denies, split_sentences
from veriloop.proof.mutant.wording import NO_REFUSALS, REFUSALS, TAKEN_BACK

READ = {"seat": "agent", "name": "get", "arguments": {"id": "1"}, "error": False}


def does_deny(text):
    return any(denies(sentence, mark) for sentence, mark in split_sentences(text))


@pytest.mark.parametrize("text", REFUSALS)
def test_what_agents_say_to_refuse(text):
    assert does_deny(text)


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
    ],
)
def test_a_refusal_need_not_be_all_that_is_said(text):
    assert does_deny(text)


@pytest.mark.parametrize("text", [*NO_REFUSALS, *TAKEN_BACK])
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
    ],
)
def test_regret_and_suppositions_refuse_nothing(text):
    assert not does_deny(text)


def test_a_claim_is_no_question_and_no_negation():
    assert claims("i have cancelled it", ".")
    assert not claims("is it done", "?")
    assert not claims("nothing has been done", ".")
    assert not claims("i haven't changed it, so it isn't done", ".")
    assert not claims("your parcel was delivered", ".")


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
        for texts in (("I cannot do that. Done.",), ("I cannot do that.", "I have cancelled it.")):
            assert "then said to be done" in check_refusal([READ], self.said(*texts))

    def test_refusing_after_all_counts(self):
        assert check_refusal([READ], self.said("That is done.", "No, sorry, I cannot do that.")) is None

    def test_where_something_else_is_to_be_done_it_may_be_said(self, monkeypatch):
        monkeypatch.setattr(refusal, "GOLD", {("t", "1"): {"x": 1}})
        assert check_refusal([READ], self.said("I cannot cancel it.", "The other one is done.")) is None

    def test_nothing_is_asked_where_nothing_is_refused(self, monkeypatch):
        monkeypatch.setattr(refusal, "REFUSES", False)
        assert check_refusal([], []) is None


def test_a_lookup_in_other_letters_counts_as_read_and_one_of_something_else_does_not(monkeypatch):
    wanted = {"email": "Ada@post.example", "limit": 3}
    monkeypatch.setattr(calls, "READS", [("find", wanted)])
    made = {"seat": "agent", "name": "find", "arguments": {**wanted, "email": "ada@POST.example"}, "error": False}
    assert calls.count_needed([READ, made]) == 2
    for other in ({"error": True}, {"arguments": {**wanted, "limit": 4}}, {"arguments": {"email": "ida@post.example"}}):
        assert calls.count_needed([READ, {**made, **other}]) is None
