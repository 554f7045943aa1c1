"""Wrong dialogues made from a task's right one. Nothing here knows how a checker is built.

Each class of mistakes has a maker, which yields nothing where the task gives no room for it, and the reason for that.
"""

from collections.abc import Callable, Iterator

from veriloop.proof.dialogue import Dialogue
from veriloop.proof.mutant import order, word, write
from veriloop.proof.mutant.ground import Ground, Mutant

Maker = Callable[[Ground], Iterator[Dialogue]]

NO_WRITES = "nothing is to be changed"
NO_REFUSAL = "nothing is to be refused"
NO_WORDS = "nothing has to be refused or told"
NO_HANDOVER = "nobody is to be handed over"

CLASSES: dict[str, tuple[Maker, str]] = {
    "nothing_done": (write.do_nothing, "nothing is to be done"),
    "untouched": (write.only_read, NO_WRITES),
    "dropped_write": (write.drop_writes, NO_WRITES),
    "partial": (write.drop_requests, "no two requests are to be carried out"),
    "changed_argument": (write.change_arguments, "no write has an argument"),
    "swapped_entity": (write.swap_entities, "the caller has nothing else of the kind"),
    "swapped_caller": (write.swap_callers, "nothing of the agent's is changed, or nobody else can be looked up so"),
    "repeated_write": (write.repeat_writes, "the agent is to change nothing"),
    "foreign_write": (write.add_foreign_writes, "no other write would change anything"),
    "forbidden_write": (write.add_forbidden_writes, NO_REFUSAL),
    "undone_write": (write.undo_writes, "no call takes a write of it back"),
    "wrong_seat": (write.swap_seats, NO_WRITES),
    "dropped_call": (write.drop_handovers, NO_HANDOVER),
    "hasty_call": (order.hand_over_early, NO_HANDOVER),
    "unidentified": (order.skip_identity, "nothing of the agent's is changed, or no read identifies the caller"),
    "unconfirmed": (order.skip_yes, "the agent is to change nothing"),
    "hasty_refusal": (order.refuse_early, "no refusal rests on a read"),
    "blind_refusal": (order.refuse_blindly, "no refusal rests on a read"),
    "silent": (word.say_nothing, NO_WORDS),
    "unrefused": (word.claim_instead, NO_REFUSAL),
    "claimed": (word.claim_first, "nothing is to be refused that could be named"),
    "taken_back": (word.take_back, "nothing is to be refused that could be named"),
    "untold": (word.tell_wrong, "nothing has to be told"),
    "unheard": (word.speak_unheard, NO_WORDS),
}
"""Classes of mistakes by name: who makes them, and why a task may have none."""

MAY_BE_RIGHT = {
    "dropped_write": "it ends the same without the write",
    "partial": "it ends the same without the request",
    "changed_argument": "another value leads to the same end",
    "swapped_entity": "it leads to the same end",
    "repeated_write": "a second time changes nothing more",
    "foreign_write": "it leads to the same end",
    "forbidden_write": "the tool refuses it too",
    "untouched": "only what counts for nothing is changed",
    "nothing_done": "only what counts for nothing is changed",
    "undone_write": "only what counts for nothing is changed",
    "wrong_seat": "only what counts for nothing is changed",
    "swapped_caller": "no clause of the policy forbids it",
    "unidentified": "no clause of the policy forbids it",
    "unconfirmed": "no clause of the policy forbids it",
}
"""Classes whose mutants may turn out to be no mistakes, and why; all others have to be caught."""

BY_POLICY = ("swapped_caller", "unidentified", "unconfirmed")
"""Classes whose end is right: the policy's clauses have to catch them, all others the checker alone."""

MOST = 5
"""Mutants of one class that are tried on one task; of more, as many are drawn by the proof's seed."""


def make_mutants(ground: Ground) -> Iterator[Mutant]:
    """Yield wrong variants of a task's right dialogue, of every class that the task gives room for.

    Some may turn out to be no mistakes; the caller compares ends and leaves those out.
    """
    for kind, (make, _) in CLASSES.items():
        made = list(make(ground))
        if len(made) > MOST:
            made = ground.rng.sample(made, MOST)
        yield from (Mutant(kind, dialogue.lines()) for dialogue in made)
