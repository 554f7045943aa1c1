"""A server that plays the roles well but for faults chosen by its seed, which go away once a prompt speaks to them.

A simulation of a model that listens. Which faults there are, and what they sound like, is known here alone; the engine
sees only what comes of them.
"""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from servers.roles import RoleServer, find_role
from veriloop.domains.domain import Domain
from veriloop.rollout.player import Player

TAUGHT = "What earlier work taught:"


@dataclass(frozen=True)
class FaultClass:
    """One way to be wrong. heard: words of advice that put it right. shown: how a reflector would recognise it in what
    the engine tells, and `advice` what it would then say."""

    name: str
    role: str
    heard: str
    shown: str
    advice: str
    spoil: Callable[[dict[str, Any]], None]


def _edit_submission(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def spoil(message: dict[str, Any]) -> None:
        for call in message.get("tool_calls", ()):
            if call["function"]["name"] == "submit_task":
                submission = json.loads(call["function"]["arguments"])
                change(submission)
                call["function"]["arguments"] = json.dumps(submission)

    return spoil


def _forget_writes(submission: dict[str, Any]) -> None:
    writes = {wish["tool"] for wish in submission["requests"]}
    submission["gold"] = [step for step in submission["gold"] if step["name"] not in writes]


def _tell_all(submission: dict[str, Any]) -> None:
    submission["identity"] = ["email", "phone"]


def _forget_evidence(submission: dict[str, Any]) -> None:
    if any(wish.get("refused_by") for wish in submission["requests"]):
        writes = {wish["tool"] for wish in submission["requests"]}
        submission["gold"] = [step for step in submission["gold"] if step["name"] in writes or step["seat"] == "user"]


def _invent(message: dict[str, Any]) -> None:
    if message["content"] and "###" not in message["content"]:
        message["content"] += " My reference is KX-40417."


def _leave_early(message: dict[str, Any]) -> None:
    if message["content"].startswith("Yes"):
        message["content"] = "I have to go. ###STOP###"


FAULTS = (
    FaultClass("forgets writes", "synthesiser", r"\bchange\b.*\bgold\b", r"requests are not carried out",
               "Put the change itself into gold, not only the reads.", _edit_submission(_forget_writes)),
    FaultClass("tells all", "synthesiser", r"\bidentity\b.*\bone\b", r"is told but nothing needs it",
               "Name in identity just the one thing that finds the caller.", _edit_submission(_tell_all)),
    FaultClass("forgets evidence", "synthesiser", r"\bread\b.*\brefus", r"refuses without",
               "Let the agent read what shows why before it refuses.", _edit_submission(_forget_evidence)),
    FaultClass("invents", "user", r"\bnever\b.*\bscript\b", r"invented",
               "Say never a number that is not in your script.", _invent),
    FaultClass("leaves early", "user", r"\bstay\b", r"\"early_stop\":true",
               "Please stay until everything is settled.", _leave_early),
)  # fmt: skip


class ListeningServer(RoleServer):
    """Shows `count` fault classes drawn by `seed` in most of its answers. edits: whether its reflector edits."""

    def __init__(
        self, domain: Domain, agent: Player, seed: int, *, count: int = 2, edits: bool = True, **options: Any
    ) -> None:
        super().__init__(domain, agent, **options)
        self._edits = edits
        self.faults = random.Random(seed).sample(FAULTS, count)
        self.shown: dict[str, int] = {fault.name: 0 for fault in self.faults}

    def play(self, role: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer well, then let the faults of the role in that nothing in the prompt speaks to."""
        message = super().play(role, body)
        _, _, taught = body["messages"][0]["content"].partition(TAUGHT)
        for fault in self.faults:
            if fault.role == find_role(body) and not re.search(fault.heard, taught, re.IGNORECASE):
                before = json.dumps(message)
                fault.spoil(message)
                self.shown[fault.name] += before != json.dumps(message)
        return message

    def play_reflector(self, body: dict[str, Any]) -> dict[str, Any]:
        """Read what went wrong and say what would put each of it right; or nothing at all."""
        text = body["messages"][0]["content"]
        advice = [
            {"role": fault.role, "text": fault.advice, "reason": f"saw {fault.name}"}
            for fault in FAULTS
            if self._edits and fault.advice not in text and re.search(fault.shown, text)
        ]
        return {"content": json.dumps({"edits": [], "advice": advice, "attempts": None})}
