"""Mistakes on the way to the right end: before the caller is known, before the yes, before what shows why was read."""

from collections.abc import Iterator
from dataclasses import replace

from veriloop.proof.dialogue import YES, Dialogue
from veriloop.proof.mutant.ground import Ground


def skip_identity(ground: Ground) -> Iterator[Dialogue]:
    """Change things for a caller who has said nothing of who they are, and look them up afterwards."""
    openings = ground.openings()
    if not openings or not any(ground.task.gold[position].seat == "agent" for position in ground.writes()):
        return
    values = [fact.text for fact in ground.task.user.identity]
    greeting, told = ground.dialogue.opening
    for value in values:
        told = replace(told, text=told.text.replace(value, "..."))
    rest = [position for position in range(len(ground.dialogue.steps)) if position not in openings]
    yield replace(ground.dialogue.keep([*rest, *openings]), opening=(greeting, told))


def skip_yes(ground: Ground) -> Iterator[Dialogue]:
    """Make the agent's writes without the yes: it is not said, or the agent does not even ask."""
    positions = [position for position in ground.writes() if ground.task.gold[position].seat == "agent"]
    if not positions:
        return
    for position in positions[:1]:
        lines = ground.dialogue.steps[position]
        unsure = (replace(line, text="Hm.") if line.text == YES else line for line in lines)
        yield ground.dialogue.put(position, *unsure)
        yield ground.dialogue.put(position, lines[-1])


def refuse_early(ground: Ground) -> Iterator[Dialogue]:
    """Refuse before anything was read, and read afterwards."""
    if _rests_on_reads(ground):
        spoken = tuple(line for line in ground.dialogue.closing if line.seat == "agent")
        dialogue = replace(ground.dialogue, opening=(*ground.dialogue.opening, *spoken))
        yield dialogue.close("Is there anything else?")


def refuse_blindly(ground: Ground) -> Iterator[Dialogue]:
    """Refuse without having read anything."""
    if _rests_on_reads(ground):
        yield ground.dialogue.keep(ground.writes())


def hand_over_early(ground: Ground) -> Iterator[Dialogue]:
    """Make a call that changes nothing and is due before anything else."""
    for position in ground.handovers():
        if position:
            rest = [other for other in range(len(ground.dialogue.steps)) if other != position]
            yield ground.dialogue.keep([position, *rest])


def _rests_on_reads(ground: Ground) -> bool:
    clauses = [clause for clause in ground.domain.clauses if clause.id in ground.task.refused]
    return any(clause.evidence for clause in clauses) and len(ground.writes()) < len(ground.task.gold)
