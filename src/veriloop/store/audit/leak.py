"""Rows that are about the benchmark's own tasks: their people, their words, what is broken in them."""

import json
from collections.abc import Iterator

from veriloop.domains.held_out import HeldOut, digest_shingles, find_held_out
from veriloop.domains.task import UserScenario
from veriloop.store.audit.memo import Memo
from veriloop.store.audit.sample import Sample
from veriloop.store.fault import Fault, Note
from veriloop.store.leakage import check_leakage, list_texts, list_values, resembles


class Leaks:
    """Compares samples with what their domain holds out."""

    def __init__(self) -> None:
        self._memos: dict[str, Memo] = {}

    def check(self, sample: Sample, note: Note) -> None:
        """Note how a row of a domain that holds something out is about that.

        Of a dialogue the calls and the user's words are compared with people, its reason or, in the user's view, its
        instruction with instructions: what tools return may be about others too.
        """
        held_out = find_held_out(sample.domain) if sample.domain else None
        if held_out is None:
            return
        if sample.task:
            for leak in check_leakage([sample.task.task], held_out).leaks:
                note(Fault.LEAKAGE, f"the task {leak.what}")
            return
        memo = self._memos.setdefault(sample.domain_name, Memo())
        for text in dict.fromkeys(_list_said(sample)):
            if found := memo.ask(lambda text: sorted(filter(held_out.has_entity, list_values(text))), text):
                note(Fault.LEAKAGE, f"it is about {', '.join(found)}, held out")
        words = sample.system if sample.seat == "user" else sample.about.get("reason_for_call")
        if isinstance(words, str) and memo.ask(lambda text: _is_instruction(text, held_out), f"instruction: {words}"):
            note(Fault.LEAKAGE, "it has nearly the words of an instruction that is held out")


def _list_said(sample: Sample) -> Iterator[str]:
    for message in sample.messages:
        if message["role"] == "user":
            yield message["content"]
        for call in message.get("tool_calls", ()):
            yield from list_texts(json.loads(call["function"]["arguments"]))


def _is_instruction(text: str, held_out: HeldOut) -> bool:
    user = UserScenario(persona="", reason_for_call=text, known_info="", unknown_info="", task_instructions="")
    shingles = digest_shingles(user)
    return any(resembles(shingles, other) for other in held_out.instructions)
