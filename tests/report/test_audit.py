"""The page of an audit: everything found stands in it, escaped, and it needs nothing from elsewhere."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from veriloop.pipeline.audit import Outcome, Settings, audit_data
from veriloop.report.audit import MANY, render_audit, write_audit_page

EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids.append(found.get("id") or "")
        self.links.append(found.get("href") or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> tuple[Reader, str]:
    reader = Reader()
    reader.feed(page)
    return reader, re.sub(r"\s+", " ", " ".join(reader.text))


def row(number: int, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Do {number}."}, {"role": "assistant", "content": "Done."}]
    return {"messages": messages, **fields}


@pytest.fixture
def found(tmp_path: Path) -> Outcome:
    rows = [row(n) for n in range(3)] + [row(0) for _ in range(MANY + 5)]
    bad = row(9, tools=[{"name": "f", "parameters": {}}])
    calls = [{"id": "c", "type": "function", "function": {"name": EVIL, "arguments": "{}"}}]
    bad["messages"][-1] = {"role": "assistant", "content": "", "tool_calls": calls}
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in [*rows, bad, row(8, domain=EVIL)]))
    return audit_data(tmp_path / "a.jsonl", Settings(fix=tmp_path / "b.jsonl"))


def test_findings_stand_in_the_page(found: Outcome):
    page, text = read(render_audit(found, "error"))
    assert "✗ does not pass" in text
    assert "210 rows read" not in text and {"unknown_tool", "duplicate", "findings", "files", "copy"} <= set(page.ids)
    assert "a.jsonl:209" in text and "is none of the tools" in text
    assert f"The first {MANY} rows" in text and "a.jsonl:4, a.jsonl:5" in text
    assert "left out by --fix" in text
    assert "Nobody knows the domains" in text


def test_the_copy_is_told(found: Outcome, tmp_path: Path):
    _, text = read(render_audit(found, "error"))
    assert "Cleaned copy" in text and str(tmp_path / "b.jsonl.changes.jsonl") in text
    assert found.cleaned and found.after and found.after.passes("error")


def test_every_link_leads_into_the_page(found: Outcome):
    page, _ = read(render_audit(found, "error"))
    links = [link for link in page.links if link]
    assert links and all(link.startswith("#") and link[1:] in page.ids for link in links)


def test_what_comes_from_rows_is_escaped(found: Outcome):
    html = render_audit(found, "error")
    assert "script" not in read(html)[0].tags and "&lt;script&gt;" in html


def test_sound_data_has_a_page_too(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text(json.dumps(row(1)))
    written = write_audit_page(audit_data(tmp_path / "a.jsonl", Settings()), "never", tmp_path / "out" / "a.html")
    _, text = read(written.read_text())
    assert "✓ passes" in text and "Nothing was found." in text and "Cleaned copy" not in text
