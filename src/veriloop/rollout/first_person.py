"""The package's instructions as their reader says them: "You want to cancel" becomes "I want to cancel"."""

import re

_WISH = re.compile(r"^You (?:also )?(?:want|wish|need|would like|'d like) to ", re.IGNORECASE)
_CHANGES = (
    (r"\bYou are\b", "I am"),
    (r"\byou are\b", "I am"),
    (r"\b[Yy]ou're\b", "I'm"),
    (r"\b[Yy]ou've\b", "I've"),
    (r"\b[Yy]ou'd\b", "I'd"),
    (r"\b[Yy]ou were\b", "I was"),
    (r"\byourself\b", "myself"),
    (r"\bYours\b", "Mine"),
    (r"\byours\b", "mine"),
    (r"\bYour\b", "My"),
    (r"\byour\b", "my"),
    (r"\b(to|for|with|from|of|tell|told|tells|asks?|gives?|offers?|lets?|help|call) you\b", r"\1 me"),
    (r"\b[Yy]ou\b", "I"),
)


def speak(text: str) -> str:
    """Return an instruction in the first person, in one line."""
    for pattern, said in _CHANGES:
        text = re.sub(pattern, said, text)
    return " ".join(text.split())


def speak_wish(reason: str) -> str:
    """Return what somebody calls for so that it goes on from "I want to": "cancel my order"."""
    reason = " ".join(reason.split())
    wish, found = _WISH.subn("", reason)
    return speak(wish).rstrip(".") if found else f"tell you why I am calling: {speak(reason)}".rstrip(".")
