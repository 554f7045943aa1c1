"""`veriloop audit`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, align_table, show_progress
from veriloop.pipeline.audit import MAX_TOKENS, Outcome, Settings, audit_data
from veriloop.report.audit import write_audit_page
from veriloop.store.audit.result import Audit, Gate, describe_file

_ROWS = 5
"""Rows that are named of each kind of finding."""


def audit_command(
    path: Path,
    *,
    fail_on: Gate = "error",
    domain: str = "",
    fix: Path | None = None,
    html: Path | None = None,
    max_tokens: Annotated[int, Parameter(validator=Number(gte=1))] = MAX_TOKENS,
) -> Result:
    """Check anybody's training data: dialogues, turns, tasks, a run's or tau2's results.

    Parameters
    ----------
    path
        A .jsonl or .json file, plain or gzipped, a folder of such, or a run directory.
    fail_on
        The severity from which on a finding ends the command with exit code 1.
    domain
        The domain of rows that name none: a name from `veriloop domains` or a path to a Python file.
    fix
        Write a cleaned copy there (a file for a file, a folder for a folder) and a list of every change beside it.
    html
        Write a page about what was found.
    max_tokens
        How long a row may be, at four characters a token.
    """
    settings = Settings(domain=domain, gate=fail_on, fix=fix, max_tokens=max_tokens)
    with show_progress(f"auditing {path}") as progress:
        found = audit_data(path, settings, progress)
    data = _dump(found, fail_on)
    if html:
        data["page"] = str(write_audit_page(found, fail_on, html))
    return Result(data, _draw(found, fail_on), 0 if found.ok else 1)


def _dump(found: Outcome, gate: Gate) -> dict[str, Any]:
    data = found.audit.model_dump(mode="json")
    for kind in data["findings"].values():
        kind["examples"] = [f"{example['file']}:{example['row']}: {example['what']}" for example in kind["examples"]]
    data |= {"ok": found.ok, "fail_on": gate}
    if found.cleaned:
        after = found.after.passes(gate) if found.after else None
        data["fixed"] = {**found.cleaned.model_dump(), "ok": after}
    return data


def _draw(found: Outcome, gate: Gate) -> str:
    audit = found.audit
    lines = [f"{audit.rows} rows in {len(audit.files)} files, {audit.seconds:.1f} s"]
    lines += [f"  {facts.file}: {describe_file(facts)}" for facts in audit.files]
    if audit.unknown:
        lines.append(
            f"not known, so without tools, replay and leakage: {', '.join(audit.unknown)}; name it by --domain"
        )
    if audit.findings:
        lines += ["", _draw_findings(audit)]
    lines.append("" if audit.findings else "nothing found")
    verdict = "no finding" if found.ok else "there are findings"
    lines.append(f"{verdict} at or above --fail-on {gate}" if gate != "never" else "--fail-on never")
    if found.cleaned:
        copy = found.cleaned
        lines.append(f"{copy.path}: {copy.kept} rows kept, {copy.mended} of them mended, {copy.dropped} left out")
        lines.append(f"every change: {copy.changes}")
        if found.after is None:
            lines.append("no row is left")
        else:
            lines.append(f"the copy {'passes' if found.after.passes(gate) else 'does not pass'} the same audit")
    return "\n".join(line for line in lines)


def _draw_findings(audit: Audit) -> str:
    rows = [
        (kind.severity.value, fault.value, kind.count, ", ".join(kind.places[:_ROWS]) + _more(kind.count), kind.fix)
        for fault, kind in audit.findings.items()
    ]
    return align_table(("severity", "finding", "rows", "where", "what to do"), rows)


def _more(count: int) -> str:
    return ", ..." if count > _ROWS else ""
