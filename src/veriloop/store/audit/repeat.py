"""What can only be seen across rows: ids given twice, the same said twice, rows that are no part of their dialogue."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from veriloop.core.base import canonical_json
from veriloop.store.audit.memo import Memo, digest_text
from veriloop.store.audit.sample import Sample
from veriloop.store.audit.settle import settle_messages
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note

_WORD = re.compile(r"\w+")


class Identities:
    """The ids of one file's rows; where the form does not ask for one, rows need one when the first has one."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._first: dict[str, bool] = {}

    def check(self, sample: Sample, note: Note) -> None:
        """Note a row without an id, or with that of an earlier one."""
        if not sample.id:
            # Readers of tasks have told it already.
            wanted = sample.form.needs_id or self._first.setdefault(sample.form, False)
            if wanted and not sample.task:
                note(Fault.NO_ID, "the row does not say which dialogue it is of")
            return
        self._first.setdefault(sample.form, True)
        turn = f" turn {sample.turn}" if sample.form.is_turn else ""
        key = digest_text(sample.form, sample.id + turn)
        if key in self._seen:
            note(Fault.DUPLICATE_ID, f"{sample.id}{turn} stands in an earlier row too")
        self._seen.add(key)


@dataclass(slots=True)
class _Repeats:
    """The turns of a dialogue that were there before, and whether its longest is among them."""

    file: str
    length: int = 0
    whole: bool = False
    rows: list[tuple[int, str]] = field(default_factory=list)

    def add(self, sample: Sample, what: str) -> None:
        if len(sample.messages) >= self.length:
            self.length, self.whole = len(sample.messages), bool(what)
        if what:
            self.rows.append((sample.row, what))


class Contents:
    """Digests of what rows say, whatever case, spaces and punctuation.

    Dialogues may well begin alike and go on differently, so their turns are no repeats unless the longest one is.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[str, int]] = {}
        self._words, self._arguments = Memo(), Memo()
        self._turns: dict[bytes, _Repeats] = {}

    def check(self, sample: Sample, file: str, note: Note, scope: str = "") -> None:
        """Note a row that says what an earlier one of the same scope said; of turns that is told at the end."""
        key = digest_text(scope, sample.form, *self._spell(sample))
        name, row = self._seen.setdefault(key, (file, sample.row))
        what = f"it says the same as row {row}{'' if name == file else ' of ' + name}"
        repeats = (name, row) != (file, sample.row)
        if sample.form.is_turn and sample.id:
            dialogue = self._turns.setdefault(digest_text(file, sample.form, sample.id), _Repeats(file))
            dialogue.add(sample, what if repeats else "")
        elif repeats:
            note(Fault.DUPLICATE, what)

    def finish(self) -> Iterator[tuple[str, int, str]]:
        """Yield (file, row, what) of turns whose whole dialogue was there before."""
        for dialogue in self._turns.values():
            if dialogue.whole:
                yield from ((dialogue.file, row, what) for row, what in dialogue.rows)

    def _spell(self, sample: Sample) -> Iterator[str]:
        if sample.task:
            task = sample.task.task
            user = task.user
            yield from (task.domain, task.initial.database, canonical_json(sample.task.start))
            yield from map(_spell_words, (user.persona, user.reason_for_call, user.known_info, user.task_instructions))
            yield canonical_json([step.model_dump(mode="json") for step in (*task.gold, *task.initial.calls)])
            return
        yield sample.seat
        for message in sample.messages:
            yield message["role"]
            yield self._words.ask(_spell_words, message["content"])
            yield from spell_calls(message, self._arguments)


@dataclass(slots=True)
class _Start:
    """How a dialogue begins as one of its rows has it: so many messages, the digest of these, and the row."""

    length: int
    digest: bytes
    row: int


@dataclass(slots=True)
class _Thread:
    """A dialogue of turns. good: its longest row so far. odd: one that does not go with it, until it is clear which.

    turns, rows: how many rows it had when we exported it, 0 for others; those of it that there are.
    """

    good: _Start
    odd: _Start | None = None
    turns: int = 0
    rows: list[int] = field(default_factory=list)


class Dialogues:
    """Follows the turns of one file's dialogues: each row has to begin as the ones before it did."""

    def __init__(self) -> None:
        self._threads: dict[str, _Thread] = {}
        self._arguments = Memo()

    def __len__(self) -> int:
        return len(self._threads)

    def follow(self, sample: Sample) -> int | None:
        """Take a row in; return the number of one that is now known not to be a part of its dialogue.

        What can be mended in a row does not count: it is compared as it would be then.
        """
        digests = list(_chain(settle_messages(sample.messages), self._arguments))
        here = _Start(len(digests), digests[-1], sample.row)
        thread = self._threads.get(sample.id)
        if thread is None:
            self._threads[sample.id] = _Thread(here, None, sample.turns, [sample.row] if sample.turns else [])
            return None
        if sample.turns:
            thread.rows.append(sample.row)
        return _weigh(thread, here, lambda start: _continues(digests, start))

    def finish(self) -> Iterator[tuple[int, Fault, str]]:
        """Yield (row, fault, what) of all that is only known at the end of the file."""
        for name, thread in self._threads.items():
            if thread.odd:
                yield thread.odd.row, Fault.BROKEN_DIALOGUE, tell_broken(name)
            gone = thread.turns - len(thread.rows)
            for row in thread.rows if gone > 0 else ():
                yield row, Fault.CHANGED, f"{gone} of the {thread.turns} rows of {name} are gone"


def tell_broken(dialogue: str) -> str:
    """Return in words that a row does not go with the others of its dialogue."""
    return f"the row is no part of {dialogue} as its other rows have it"


def _weigh(thread: _Thread, here: _Start, continues: Callable[[_Start], bool | None]) -> int | None:
    """Let a new row decide between the ones before it; None where none is at fault yet."""
    with_good = continues(thread.good)
    if with_good is None:
        return None
    blamed = None
    if with_good:
        blamed, thread.odd, thread.good = thread.odd, None, here
    elif thread.odd and continues(thread.odd):
        blamed, thread.odd, thread.good = thread.good, None, here
    else:
        blamed, thread.odd = thread.odd, here
    return blamed.row if blamed else None


def _continues(digests: list[bytes], start: _Start) -> bool | None:
    """Return whether a row begins as an earlier one did, None where it is no longer and so cannot tell."""
    return digests[start.length - 1] == start.digest if len(digests) > start.length else None


def _chain(messages: list[Row], arguments: Memo) -> Iterator[bytes]:
    """Yield for each message a digest of all up to it, without thoughts, which later rows do not repeat, and ids."""
    before = ""
    for message in messages:
        digest = digest_text(before, message["role"], message["content"], *spell_calls(message, arguments))
        before = digest.hex()
        yield digest


def spell_calls(message: Row, arguments: Memo) -> Iterator[str]:
    """Yield the names and arguments of a message's calls, in whatever order these were written."""
    for call in message.get("tool_calls", ()):
        yield call["function"]["name"]
        yield arguments.ask(lambda text: canonical_json(json.loads(text)), call["function"]["arguments"])


def _spell_words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))
