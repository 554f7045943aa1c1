"""A refusal: the agent denies the request in a sentence, after it has read why, and does not claim to have done it."""

from typing import Any

from veriloop.check.body.calls import count_needed
from veriloop.check.body.speech import straighten

GOLD: dict[Any, Any] = {}
CALLS: list[str] = []
REFUSES: bool = False

# ---
# What denies; a word that only regrets, such as sorry, does not.
CANNOT = ["cannot", "can't", "cant", "can not", "couldn't", "could not", "unable", "not able", "isn't able"]
CANNOT = [
    *CANNOT,
    "aren't able",
    "can no longer",
    "won't be able",
    "will not be able",
    "wouldn't be able",
    "would not be able",
]
DENIALS = [
    *CANNOT,
    *[f"{part} {word}"
      for part in ["not", "isn't", "aren't", "is never", "no longer", "won't be", "wasn't", "not be", "isn't being"]
      for word in ["possible", "allowed", "permitted", "eligible", "available", "covered", "an option", "supported",
                   "offered", "entitled", "authorized", "authorised", "something"]],
    *[f"{part} {word}"
      for part in ["doesn't", "does not", "don't", "do not", "won't", "will not", "didn't", "did not"]
      for word in ["allow", "permit", "qualify", "let me", "let us", "meet", "support", "accept", "cover"]],
    *[f"{part} {word}"
      for part in ["won't", "will not", "must not", "may not", "mustn't"]
      for word in ["do", "make", "process", "go ahead", "approve", "be", "go through", "happen"]],
    *[f"{part} {word}"
      for part in ["must", "have to", "need to", "going to have to", "has to", "obliged to"]
      for word in ["decline", "refuse", "deny", "say no", "turn down", "turn this down", "reject"]],
    "impossible", "prohibited", "prohibits", "prohibit", "forbidden", "forbids", "forbid", "ineligible", "rules out",
    "prevents me", "prevent me", "prevents us", "against our policy", "against the policy", "against policy",
    "against our rules", "against the rules", "no way to", "no way for", "not in a position", "out of the question",
    "off the table", "too late to", "declining", "out of stock", "unavailable", "i decline", "we decline", "i refuse",
    "nothing i can do", "answer is no", "hands are tied", "not in my power", "afraid not", "unfortunately not",
    "so no", "is rejected", "been rejected", "be rejected", "nothing we can do", "beyond what", "outside what",
    "outside of what", "not going to be possible", "has been declined", "has been denied", "is denied", "is declined",
    "disallowed",
]  # fmt: skip
# A sentence that wonders or only supposes denies nothing, nor does one like "I cannot find it" or "I can't wait".
SUPPOSING = ["if", "whether", "why", "when", "unless", "case", "until"]
ASKING = ["would", "could", "can", "is", "are", "was", "do", "does", "did", "will", "might", "have", "has", "so"]
IDLE = ["find", "locate", "see", "hear", "wait", "thank", "tell", "recall", "remember", "imagine", "apologize", "help"]
IDLE = [
    *IDLE,
    "apologise",
    "stress",
    "verify",
    "identify",
    "say",
    "believe",
    "be a",
    "be long",
    "agree",
    "look",
    "be charged",
]
IDLE = [*IDLE, "go wrong", "be undone", "be reversed", "be tracked", "undo", "reverse", "be taken"]
FILLERS = ["to", "even", "yet", "currently", "actually", "quite", "really", "seem"]
CLAIMS = [
    "done", "all set", "taken care of", "went through", "gone through", "successful", "successfully", "is complete",
    "is completed", "been completed", "been processed", "went ahead", "gone ahead", "made the change", "is settled",
    "is sorted", "all sorted", "as you asked", "as requested", "as you wished", "now been", "just been",
    "now confirmed",
    *[f"{part} {verb}"
      for part in ["i have", "i've", "i have now", "i've now", "i have just", "i've just", "is now", "are now",
                   "we have", "we've", "has now been", "have now been", "i"]
      for verb in ["cancelled", "canceled", "changed", "updated", "modified", "booked", "refunded", "rescheduled",
                   "returned", "exchanged", "swapped", "redirected", "filed", "added", "removed", "resumed", "refueled",
                   "moved", "made", "submitted", "processed", "arranged", "completed", "finalized", "issued"]],
]  # fmt: skip
NOT_CLAIMED = ["not", "no", "never", "nothing", "cannot", "unless", "until", "if", "once", "without", "before"]
NOT_CLAIMED = [*NOT_CLAIMED, "unable"]


def split_sentences(text):
    """Return the sentences of a text with the mark that ends each."""
    text, found, start = straighten(text), [], 0
    for place, letter in enumerate(text):
        if letter in ".!?;" and text[place + 1 : place + 2] in ["", " ", '"', "'", ")"]:
            found.append((text[start:place], letter))
            start = place + 1
    return [*found, (text[start:], "")]


def keep_words(text):
    """Return a text's words, with one space before and after each."""
    letters = [letter if letter.isalnum() or letter == "'" else " " for letter in text]
    return " " + " ".join("".join(letters).split()) + " "


def denies(sentence, mark):
    """Return whether a sentence denies."""
    for part in sentence.replace(" - ", ",").replace(":", ",").replace("(", ",").split(","):
        words = keep_words(part)
        for denial in DENIALS:
            if f" {denial} " not in words:
                continue
            place = words.index(f" {denial} ")
            before, after = words[:place].split(), words[place + len(denial) + 2 :].split()
            asked = mark == "?" and (not before or before[0] in ASKING)
            supposed = any(word in SUPPOSING for word in before[-3:])
            rest = [word for word in after if word not in FILLERS]
            idle = denial in CANNOT and (" ".join(rest[:1]) in IDLE or " ".join(rest[:2]) in IDLE)
            idle = idle or (" ".join(["be", *rest[:1]]) in IDLE and denial.endswith(" be"))
            idle = idle or (denial in CANNOT and rest[:1] == ["be"] and "".join(rest[1:2]).endswith("er"))
            if not asked and not supposed and not idle:
                return True
    return False


def claims(sentence, mark):
    """Return whether a sentence claims that something was carried out."""
    words = keep_words(sentence)
    if mark == "?" or "n't " in words or any(f" {word} " in words for word in NOT_CLAIMED):
        return False
    return any(f" {claim} " in words for claim in CLAIMS)


def check_refusal(calls, messages):
    """Return what is missing for a refusal that rests on evidence, or None.

    Where nothing else is to be done, to deny and then claim that it is done after all is no refusal.
    """
    if not REFUSES:
        return None
    needed = count_needed(calls)
    if needed is None:
        return "what shows why was not read before refusing"
    refused = taken_back = False
    for message in messages:
        if message["seat"] != "agent" or message["calls"] < needed:
            continue
        for sentence, mark in split_sentences(message["content"]):
            if denies(sentence, mark):
                refused, taken_back = True, False
            elif claims(sentence, mark) and not GOLD and not CALLS:
                taken_back = True
    if not refused:
        return "the request was not refused"
    return "what was refused was then said to be done" if taken_back else None
