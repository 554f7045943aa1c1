"""Tasks: what the user wants, what a right end state is, and where the task came from."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import JsonValue

from veriloop.core.base import Frozen, content_hash
from veriloop.core.message import Seat, ToolCall

TASK_VERSION = 1


class SeatCall(Frozen):
    """A tool call with the seat that makes it."""

    seat: Seat
    call: ToolCall


class Initial(Frozen):
    """Where a dialogue starts: a database by id, and calls made on it before anyone speaks.

    ticket: what an agent who works alone reads; None where there is a user to talk to.
    """

    database: str
    calls: tuple[SeatCall, ...] = ()
    ticket: str | None = None


class Fact(Frozen):
    """Something the user can tell: how it is called, how it is said, and the value behind it.

    value: the raw value, None where the user can only describe it. argument: the parameter of the wanted
    call that the fact fixes, empty for facts of identity. forms: sentences in which people say it, with `{text}` or
    whole; where there are none it is told under its label. slip: what the user says by mistake the first time.
    whim: what they want at first, until it is repeated to them or asked again.
    """

    label: str
    text: str
    value: JsonValue
    kind: str = ""
    argument: str = ""
    forms: tuple[str, ...] = ()
    slip: str = ""
    whim: str = ""

    @property
    def at_first(self) -> str:
        """What the user says for it in the beginning."""
        return self.slip or self.whim or self.text


class Request(Frozen):
    """One thing the user wants: the wording of the wish and the facts that fix it.

    declines: the user's own tools that would help and that they cannot use, by name, each with what it does in words.
    """

    topic: str
    facts: tuple[Fact, ...] = ()
    declines: dict[str, str] = {}


class UserScenario(Frozen):
    """Everything the user's seat knows (the fields of tau2's user scenario, with the facts kept apart).

    identity: what the user can say about who they are. asides: what is true of them and has no bearing. instruction
    texts are rendered from these.
    """

    persona: str
    reason_for_call: str
    known_info: str
    unknown_info: str
    task_instructions: str
    identity: tuple[Fact, ...] = ()
    requests: tuple[Request, ...] = ()
    asides: tuple[str, ...] = ()


class Tags(Frozen):
    """What a task exercises: tools it calls, clauses it meets, whether nothing may be written, how hard it is.

    combination: what is broken at the start, as the key that `Troubles.combine` gives it; empty when nothing is.
    """

    tools: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    no_write: bool = False
    tier: Literal["single", "compound", "refusal", "partial", "repair"] = "single"
    combination: str = ""


class Provenance(Frozen):
    """Where a task came from: plan id, evolution round, seed, item number, and who of the database calls."""

    plan: str = ""
    round: int = 0
    seed: int = 0
    item: int = 0
    caller: str = ""


class Task(Frozen):
    """One task; `id` is the hash of everything but version and provenance.

    gold: calls of both seats, in order, that lead to the right end state; reads included. told: values that the user
    must hear before the end (normalised by the checker). wanted: the write that each request amounts to, in order of
    `user.requests`, whether the policy allows it or not. refused: clause ids that demand the refusal of a request.
    free: tables whose end state does not count. holds: functions of the domain that return true in the right end state.
    """

    version: int = TASK_VERSION
    domain: str
    initial: Initial
    user: UserScenario
    gold: tuple[SeatCall, ...]
    told: tuple[str, ...] = ()
    wanted: tuple[ToolCall, ...] = ()
    refused: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    holds: tuple[SeatCall, ...] = ()
    checker: str = ""
    tags: Tags = Tags()
    provenance: Provenance = Provenance()

    @cached_property
    def id(self) -> str:
        """Content hash: equal tasks have equal ids, whatever made them; a later field that is left out changes none."""
        content = self.model_dump(mode="json", exclude={"version", "provenance"}, exclude_defaults=True)
        return content_hash(content)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the id of its own content, not that of what it was copied from."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("id", None)
        return copied
