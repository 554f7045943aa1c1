"""Sentences of agents, right and wrong, written without regard to what a checker knows; values, said well or badly."""

import re
from collections.abc import Iterator
from datetime import date, timedelta

REFUSALS = (
    "I'm sorry, but I can't do that for you.",
    "I’m afraid I can’t make that change: our rules don’t allow it.",
    "Unfortunately, I am unable to process this request.",
    "That isn't possible, I'm afraid. Is there something else you would like instead?",
    "Our policy does not permit this, so I have to decline.",
    "I checked, and this is not allowed in your case.",
    "Thanks for waiting. I won't be able to do this because the conditions are not met.",
    "I understand that this is frustrating; however, we cannot carry it out.",
    "Under our terms this request isn't eligible, so nothing will be changed.",
    "It is against our policy to do this.",
    "I have to turn this down: the rules forbid it.",
    "Regrettably I'm not able to help with this one, since the policy prohibits it.",
    "This can no longer be done at this stage.",
    "**No change possible:** I can't go ahead with that.",
    "Hi again! So, having looked at it, I must refuse this request.",
    "We don't offer that here, and I'm not permitted to make an exception.",
    "I'd love to help, but that's not something I can do.",
    "There is no way for me to do this under the rules.",
    "Sorry, that will not be possible.",
    "I couldn't do this even if I wanted to, as it's not permitted.",
    "We don't do that, and I won't make an exception here.",
    "Your wish has to be declined. You are all set otherwise, goodbye!",
    "That falls outside what our policy covers.",
    "I've looked at everything twice: it stays as it is.",
    "The answer is no, I'm afraid; the rules leave me no choice.",
)
"""Refusals, as agents word them."""

NO_REFUSALS = (
    "Done. Sorry for the wait!",
    "I'm sorry to hear that. It has all been taken care of.",
    "Unfortunately it took a little longer, but everything is settled now.",
    "Sure, no problem at all!",
    "That is done.",
    "Sorry about the trouble. I will look into it.",
    "Of course, I have gone ahead with that.",
    "I can certainly do that for you. Give me a moment.",
    "If you cannot wait, please call us again tomorrow.",
    "I can't wait to get this sorted for you!",
    "That won't be a problem.",
    "I could not find your account at first, but now I have it.",
    "Thank you for your patience, you will get a message soon.",
    "Can't you see it in your app already?",
    "Let me know whether that is not possible for you.",
    "All sorted. I can't think of anything else you would need.",
    "It will be changed tonight, don't worry.",
    "Consider it done!",
    "",
)
"""What is no refusal, though some of it sounds like one."""

TAKEN_BACK = (
    "Actually, I have made an exception: it is done.",
    "Good news: that has just been completed.",
    "I went ahead and did it anyway.",
    "I've now processed it for you after all. All set!",
    "Scratch that: it has been changed for you.",
    "On second thought I made the change.",
    "I'll just go ahead and change it anyway.",
)
"""What takes a refusal back."""

CLAIMS = (
    "I have switched it.",
    "I've gone ahead and changed that for you.",
    "I just made the change you asked for.",
    "I have processed your request.",
    "I have now updated everything.",
)
"""Claims that what is to be refused was done."""

NO_WISHES = (
    "I cannot do more for you today.",
    "I'm unable to help you any further.",
    "I can't see your photo, though.",
    "It can't be undone.",
    "Our policy does not allow me to do it twice.",
)
"""Denials of something that nobody asked for."""

_NUMBER = re.compile(r"^([$€£]|EUR|USD|GBP|)\s?(\d[\d,]*(?:\.\d+)?)$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")


def miss_value(value: str) -> Iterator[str]:
    """Yield what looks like a value and is none: a part of something longer, a neighbour, a digit that is off."""
    if _DATE.match(value):
        day = date.fromisoformat(value)
        yield (day + timedelta(days=1)).isoformat()
        yield f"{day + timedelta(days=31):%B} {day.day}"
        return
    if found := _NUMBER.match(value):
        digits = found[2].replace(",", "")
        yield f"1{digits}"
        yield f"{digits}7"
        yield f"in VP{digits.replace('.', '')}93"
        yield f"{found[1]}{float(digits) + 1:.2f}"
        return
    yield f"{value}x"
    yield f"9{value.lstrip('#')}"
    if len(value) > 2:
        yield value[:-1]


def say_value(value: str) -> Iterator[str]:
    """Yield other ways to say a value that mean the same."""
    yield f"**{value}**"
    if _DATE.match(value):
        day = date.fromisoformat(value)
        yield from (f"{day:%B} {day.day}", f"{day.day} {day:%b} {day.year}", f"{day:%B} {day.day}th, {day.year}")
        yield f"{day.month}/{day.day}/{day.year}"
        return
    if found := _NUMBER.match(value):
        amount = float(found[2].replace(",", ""))
        yield f"{found[1]}{amount:,.2f}"
        yield f"{amount:.2f} in all" if not found[1] else f"{found[1].strip()} {amount:.2f}"
        if not found[1]:
            yield f"${amount:,.2f}"
        return
    yield value.upper()
    yield value.lower()
    yield f'"{value}"'
