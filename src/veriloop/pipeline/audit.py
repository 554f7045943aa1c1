"""The check of anybody's training data: names become domains, gold is replayed, a cleaned copy is checked again."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.registry import BUILT_IN, load_domain
from veriloop.proof.row import can_replay, replay_row
from veriloop.store.areal_task import TaskRow
from veriloop.store.audit.auditor import Auditor, Rules
from veriloop.store.audit.clean import Cleaned, Cleaner, check_out
from veriloop.store.audit.result import Audit, Gate
from veriloop.store.fault import Finding

MAX_TOKENS = 32_768
Progress = Callable[..., None]
"""Called with (done, wanted), and with what is being done where it is not the audit itself."""


class Settings(Frozen):
    """How an audit is done.

    domain: for rows that name none. gate: the severity from which on a finding makes the data unfit. fix: where a
    cleaned copy goes. max_tokens: how long a row may be.
    """

    domain: str = ""
    gate: Gate = "error"
    fix: Path | None = None
    max_tokens: int = MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an audit found; with a copy, what was written and what an audit of that found."""

    audit: Audit
    ok: bool
    cleaned: Cleaned | None = None
    after: Audit | None = None


class Names:
    """Domains by what rows call them.

    Only domains that are built in, and the one that was named when the audit was asked for, are ever loaded: data
    that names a file must not have it executed. unknown: names that led nowhere.
    """

    def __init__(self, given: Domain | None) -> None:
        self._given = given
        self._loaded: dict[str, Domain | None] = {}
        self.unknown: list[str] = []

    def resolve(self, name: str) -> Domain | None:
        """Return the domain that a row means; the given one where it names none."""
        if not name or (self._given and name in (self._given.name, self._given.name.rpartition("/")[2])):
            return self._given
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Domain | None:
        full = next((known for known in (name, f"tau2/{name}") if known in BUILT_IN), None)
        with contextlib.suppress(InputError):  # its extra is not installed: the audit says so and goes on without
            if full:
                return load_domain(full)
        self.unknown.append(name)
        return None


class Replayer:
    """Replays gold; keeps the databases of the last rows."""

    def __init__(self) -> None:
        self._mounts: dict[str, Domain] = {}

    def replay(self, domain: Domain, row: TaskRow) -> Finding | None:
        """Return what is wrong with a row's gold; raises LookupError when it has no database to replay on."""
        task = row.task.model_copy(update={"domain": domain.name})
        row = TaskRow(row.file, row.row, row.id, task, row.database, row.start, row.own)
        if not can_replay(domain, row):
            raise LookupError(f"{row.file}:{row.row} names no database")
        return replay_row(domain, row, shared_sandbox(), self._mounts)


def audit_data(path: Path, settings: Settings, progress: Progress | None = None) -> Outcome:
    """Audit a file or folder and, where asked to, write a cleaned copy and audit that.

    Raises InputError when there is nothing to read, the domain cannot be loaded, or the copy may not go there.
    """
    if settings.fix:
        check_out(path, settings.fix)
    report = progress or (lambda _done, _total, _what="": None)
    auditor, rules, audit = _audit(path, settings, report)
    ok = audit.passes(settings.gate)
    if settings.fix is None:
        return Outcome(audit, ok)
    cleaner = Cleaner(rules, auditor.tally, settings.gate, lambda done: report(done, audit.rows, "copying"))
    cleaned = cleaner.write(path, settings.fix)
    after = _audit(settings.fix, settings, report, "checking the copy")[2] if cleaned.kept else None
    return Outcome(audit, ok, cleaned, after)


def _audit(path: Path, settings: Settings, progress: Progress, what: str = "") -> tuple[Auditor, Rules, Audit]:
    names = Names(load_domain(settings.domain) if settings.domain else None)
    rules = Rules(names.resolve, Replayer().replay, settings.max_tokens)
    # A run writes its dialogues in several forms, and so does a copy of one.
    auditor = Auditor(rules, apart=(path / "run.toml").is_file() or (path / "tasks").is_dir())
    found = auditor.audit(path, lambda: names.unknown, lambda done, total: progress(done, total, what))
    return auditor, rules, found
