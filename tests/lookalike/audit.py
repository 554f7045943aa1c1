"""Auditing a handful of rows."""

import json
from pathlib import Path
from typing import Any

from veriloop.domains.domain import Domain
from veriloop.store.audit.auditor import Auditor, Rules
from veriloop.store.audit.result import Audit
from veriloop.store.fault import Fault

Found = dict[Fault, list[str]]
"""Fault -> the places that have it, as file:row."""


def audit_files(
    folder: Path, files: dict[str, list[Any]], domain: Domain | None = None, *, apart: bool = False
) -> Found:
    """Write rows into JSON Lines files and return what an audit finds in the folder."""
    for name, rows in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    rules = Rules(lambda name: domain, lambda domain, task: None, 32_768)
    return places(Auditor(rules, apart=apart).audit(folder, list, lambda done, total: None))


def audit_rows(folder: Path, *rows: Any, domain: Domain | None = None) -> Found:
    """Return what an audit finds in the rows of one file, `rows.jsonl`."""
    return audit_files(folder, {"rows.jsonl": list(rows)}, domain)


def places(audit: Audit) -> Found:
    """Return where the findings of an audit are."""
    return {
        fault: [place.removeprefix("rows.jsonl:") for place in kind.places] for fault, kind in audit.findings.items()
    }
