"""Goes through files row by row, once, and asks every rule about every row."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from veriloop.domains.domain import Domain
from veriloop.store.areal_task import TaskRow
from veriloop.store.audit.call import Calls, check_ids, check_order, check_replies
from veriloop.store.audit.document import HEAD, SINGLE
from veriloop.store.audit.flag import check_flags
from veriloop.store.audit.form import tell_form
from veriloop.store.audit.ground import check_grounds
from veriloop.store.audit.leak import Leaks
from veriloop.store.audit.personal import Privacy
from veriloop.store.audit.policy import Policies
from veriloop.store.audit.repeat import Contents, Dialogues, Identities, tell_broken
from veriloop.store.audit.result import Audit, FileFacts, Tally, gather_files
from veriloop.store.audit.sample import Resolve, Sample, read_sample
from veriloop.store.audit.source import Found, Source, find_sources, read_source
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Finding, Note, RowError, RowNotes

Replay = Callable[[Domain, TaskRow], Finding | None]
"""Makes a row's gold calls; raises LookupError when there is nothing to make them on."""
Progress = Callable[[int, int], None]
CHARACTERS = 4
"""Characters of a token, about, in English and JSON."""
_DATABASE = {Fault.NO_DB_PATH, Fault.UNSAFE_DB_PATH, Fault.NO_DATABASE}


class Rules:
    """The rules that look at one row alone. max_tokens: how long a row may be, at four characters a token."""

    def __init__(self, resolve: Resolve, replay: Replay, max_tokens: int) -> None:
        self._resolve, self._replay, self._max_tokens = resolve, replay, max_tokens
        self._calls, self._privacy, self._leaks = Calls(), Privacy(), Leaks()

    def check(self, found: Found, source: Source, head: Row, notes: RowNotes) -> tuple[Sample | None, bool]:
        """Note what is wrong with a row; return it as a sample, if it can be read, and whether gold was replayed."""
        try:
            if isinstance(found.value, RowError):
                raise found.value
            form = tell_form(found.value, found.section)
            if form is None:
                raise RowError(Fault.BAD_ROW, "neither a dialogue (`messages`) nor a task (`user_scenario`)")
            sample = read_sample(found.value, form, source.path, found.number, notes.add, self._resolve, head)
            replayed = self._ask(sample, found.size, notes)
        except RowError as error:
            notes.add(error.fault, error.what)
            return None, False
        except RecursionError:
            notes.add(Fault.BAD_ROW, "the row is nested too deeply")
            return None, False
        return sample, replayed

    def _ask(self, sample: Sample, size: int, notes: RowNotes) -> bool:
        note = notes.add
        tokens = size // CHARACTERS
        if tokens > self._max_tokens:
            note(Fault.TOO_LONG, f"the row has about {tokens} tokens, more than {self._max_tokens}")
        self._privacy.check(sample, note)
        self._leaks.check(sample, note)
        if sample.task:
            return self._replay_gold(sample, sample.task, notes)
        check_ids(sample.stood, note)
        check_order(sample, note)
        check_replies(sample, note)
        check_flags(sample, note)
        check_grounds(sample, note)
        self._calls.check(sample, note)
        return False

    def _replay_gold(self, sample: Sample, row: TaskRow, notes: RowNotes) -> bool:
        if sample.domain is None or _DATABASE & notes.faults:
            return False
        try:
            problem = self._replay(sample.domain, row)
        except LookupError:
            return False
        if problem:
            notes.add(problem.fault, problem.what)
        return True


class Auditor:
    """One audit of a file or folder; what rows have in common is remembered as digests.

    apart: files of one folder may say the same, as those of a run do, which writes its dialogues in several forms.
    """

    def __init__(self, rules: Rules, *, apart: bool = False) -> None:
        self._rules, self._apart = rules, apart
        self._contents, self._policies = Contents(), Policies()
        self.tally = Tally()

    def audit(self, path: Path, unknown: Callable[[], list[str]], progress: Progress) -> Audit:
        """Read everything; raises InputError when there is nothing to read."""
        started = time.perf_counter()
        sources = find_sources(path)
        total, done, files = sum(source.path.stat().st_size for source in sources), 0, list[FileFacts]()
        for source in sources:
            rows = _pass_over(read_source(source)) if path.is_dir() else read_source(source)
            files.append(self._read_file(source, rows, lambda read, before=done: progress(before + read, total)))
            done += source.path.stat().st_size
        late = ((Fault.CONTRADICTION, self._policies.finish()), (Fault.DUPLICATE, self._contents.finish()))
        for fault, places in late:
            for file, row, what in places:
                self.tally.add(Finding(file=file, row=row, fault=fault, what=what))
        return Audit(
            path=str(path),
            rows=sum(facts.rows for facts in files),
            files=gather_files(files),
            findings=self.tally.kinds(),
            unknown=unknown(),
            seconds=round(time.perf_counter() - started, 3),
        )

    def _read_file(self, source: Source, rows: Iterable[Found], progress: Callable[[int], None]) -> FileFacts:
        facts, reading = FileFacts(file=source.name), _Reading(source)
        read = 0
        for found in rows:
            read += found.size
            if found.section == HEAD:
                reading.head = found.value if isinstance(found.value, dict) else {}
                continue
            notes = RowNotes(source.name, found.number)
            facts.rows += found.number > 0
            sample, replayed = self._rules.check(found, source, reading.head, notes)
            if sample:
                facts.replayed += replayed
                _count(facts, sample)
                self._compare(sample, reading, notes.add)
            for finding in notes.findings():
                self.tally.add(finding)
            if facts.rows % 100 == 0:
                progress(read)
        facts.dialogues = len(reading.dialogues)
        for row, fault, what in reading.dialogues.finish():
            self.tally.add(Finding(file=source.name, row=row, fault=fault, what=what))
        return facts

    def _compare(self, sample: Sample, reading: "_Reading", note: Note) -> None:
        """Ask the rules that need the rows before."""
        name = reading.source.name
        reading.identities.check(sample, note)
        self._contents.check(sample, name, note, scope=name if self._apart else "")
        self._policies.check(sample, name, note)
        if sample.form.is_turn and sample.id:
            broken = reading.dialogues.follow(sample)
            if broken is not None:
                what = tell_broken(sample.id)
                self.tally.add(Finding(file=name, row=broken, fault=Fault.BROKEN_DIALOGUE, what=what))


class _Reading:
    """What is remembered of the file at hand."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.head: Row = {}
        self.identities, self.dialogues = Identities(), Dialogues()


def _pass_over(rows: Iterable[Found]) -> Iterator[Found]:
    """Yield what a file of a folder holds, but for a single object that is no row: settings, descriptions of data."""
    for found in rows:
        if found.section != SINGLE or not isinstance(found.value, dict) or tell_form(found.value):
            yield found


def _count(facts: FileFacts, sample: Sample) -> None:
    facts.forms[sample.form] += 1
    facts.domains[sample.domain_name] += 1
    facts.tasks += sample.form.is_task
