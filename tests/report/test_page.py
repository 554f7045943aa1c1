"""The page: whole, offline, safe against what data says, and as wide as the screen."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.task import Task
from veriloop.report.page import spell_number, spell_percent, write_report
from veriloop.store.run import create_run, open_run

VOID = {"meta", "br", "hr", "link", "img", "input"}
EVIL = "<script>document.title='pwned'</script><img src=x onerror=alert(1)>\"'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Reads a page strictly: every element closed in order, ids unique."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]


def check_safe(page: Page, folder: Path) -> None:
    """Nothing runs, nothing is fetched, every link leads somewhere."""
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "iframe", "object", "embed", "link", "img", "base", "form"}
    )
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name in ("src", "style")]
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    for href in page.attributes("href"):
        assert href[1:] in ids if href.startswith("#") else (folder / unquote(href)).is_file(), href
    assert any("default-src 'none'" in content for content in page.attributes("content"))


def test_page_holds_every_part_of_a_run(run: Path, tasks: list[Task]) -> None:
    path = write_report(run)
    assert path == run / "report.html"
    page = Page(path.read_text())
    check_safe(page, run)
    summary = json.loads((run / "evals" / "mixed.json").read_text())
    for said in (
        f"{summary['pass_hat']['1']:.3f}", f"{summary['interval_95']['1'][0]:.3f}–", "agent_sft", "heldout_loss",
        "reschedule_delivery", "P22", "The fee is paid back once.", "Drafts attempted", "dropped write", "mixed, lost",
        "seed 5", "What the user was told",
    ):  # fmt: skip
        assert said in page.text, said
    assert len([tag for tag, _ in page.tags if tag == "polyline"]) == 3
    assert sum(href.startswith("checkers/") for href in page.attributes("href")) >= 3


def test_page_says_how_hard_the_tasks_were(run: Path) -> None:
    assert "dialogues passed" not in Page(write_report(run).read_text()).text
    with open_run(run) as opened:
        for item, passed in enumerate((1, 3, 3, 2)):
            opened.ledger.put(item, "difficulty", {"solver": "folder/<b>rl", "passed": passed, "tried": 4})
    page = Page(write_report(run).read_text())
    assert "Tasks by how many of folder/<b>rl's dialogues passed 1 of 4 1 2 of 4 1 3 of 4 2" in page.text


def test_what_the_tau2_package_wrote_is_passed_over(run: Path) -> None:
    before = write_report(run).read_bytes()
    (run / "evals" / "mixed.tau2.jsonl").write_text('{"task_id": "1", "messages": []}\n')
    assert write_report(run).read_bytes() == before
    (run / "evals" / "mixed.tau2.jsonl").unlink()


def test_equal_runs_give_equal_pages(run: Path) -> None:
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_unfinished_run_has_a_page_too(tmp_path: Path) -> None:
    create_run(tmp_path / "new", {"domain": "parcel"}).close()
    page = Page(write_report(tmp_path / "new").read_text())
    check_safe(page, tmp_path / "new")
    for said in ("No evaluation yet.", "No model was trained", "Nothing was synthesised.", "No dialogue is stored."):
        assert said in page.text


def test_run_of_a_domain_that_is_gone_says_so(run: Path) -> None:
    config = (run / "run.toml").read_text()
    (run / "run.toml").write_text(config.replace('"parcel"', '"no/such/domain.py"'))
    assert "domain cannot be loaded" in Page(write_report(run).read_text()).text


@pytest.mark.parametrize("missing", ["run.toml", "ledger.sqlite"])
def test_what_is_no_run_is_refused(run: Path, missing: str) -> None:
    (run / missing).unlink()
    with pytest.raises(InputError):
        write_report(run)
    assert not (run / "report.html").exists()


def test_comparison_sets_two_runs_beside_each_other(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    page = Page(write_report(run, other).read_text())
    check_safe(page, run)
    assert "Comparison with other" in page.text
    assert "+0.000 +0.000 to +0.000" in page.text
    with pytest.raises(InputError, match="run itself"):
        write_report(run, run)


def make_hostile(run: Path) -> None:
    """Put markup into every text that a run can hold."""
    with open_run(run) as opened:
        ledger = opened.ledger
        (entry, *_) = list(ledger.entries("synth", "done"))
        task: dict[str, Any] = entry.payload
        task["user"]["task_instructions"] = task["user"]["persona"] = EVIL
        task["tags"]["tools"], task["tags"]["clauses"], task["refused"] = [EVIL], [EVIL], [EVIL]
        ledger.put(entry.item, "synth", task)
        trace = ledger.get(entry.item, "rollout:0").payload  # pyright: ignore[reportOptionalMemberAccess]
        change = {"table": EVIL, "key": EVIL, "before": None, "after": {EVIL: EVIL}}
        call = {"id": "x", "name": EVIL, "arguments": {EVIL: EVIL}}
        result = {"call_id": "x", "content": EVIL, "error": True, "changes": [change]}
        turn = {"seat": "agent", "content": EVIL, "thinking": EVIL, "malformed": EVIL, "tool_calls": [call]}
        trace |= {
            "turns": [{**turn, "results": [result]}],
            "changes": [change],
            "error": EVIL,
            "players": {"agent": EVIL},
        }
        ledger.put(entry.item, "rollout:0", trace)
        blame = {"fault": EVIL, "evidence": EVIL}
        verdict = {"verdict": {"outcome": "fail", "reason": EVIL}, "blame": blame, "violations": [EVIL]}
        ledger.put(entry.item, "verdict:0", verdict)
        rejection = {"stage": "proof", "reason": EVIL, "fault": EVIL}
        drafts = {"rejections": [rejection], "accepted": False, "mutants_tried": 1, "mutants_caught": 1}
        ledger.put(999, "drafts", drafts)
        proof = {"classes": {EVIL: {"tried": 1, "caught": 1}}, "alternatives": {EVIL: 1}, "replays": 1}
        ledger.put(entry.item, "proof", proof)
        ledger.put_meta("versions", {EVIL: EVIL})
        done = {
            "round": EVIL,
            "fitness": 0.5,
            "fitness_candidate": 0.6,
            "accepted": True,
            "reason": EVIL,
            "changes": [EVIL],
        }
        ledger.put_meta("rounds", [done])
    folder = run / "models" / EVIL.replace("/", "_")
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": 1, f"loss {EVIL}": 2, EVIL: 3}) + "\n")
    summary = json.loads((run / "evals" / "noop.json").read_text())
    summary |= {"agent": EVIL, "user": EVIL, "domain": EVIL, "stops": {EVIL: 1}}
    (run / "evals" / f"{EVIL.replace('/', '_')}.json").write_text(json.dumps(summary))
    config = (run / "run.toml").read_text()
    (run / "run.toml").write_text(config + f"note = {json.dumps(EVIL)}\n")


def test_texts_of_the_data_stay_texts(run: Path) -> None:
    make_hostile(run)
    path = write_report(run)
    page = Page(path.read_text())
    check_safe(page, run)
    assert page.text.count(EVIL) >= 20


def browse(tmp_path: Path, page: Path, width: int) -> dict[str, Any]:
    """Return what a browser makes of a page in a frame of some width; every fold opened."""
    opened = page.with_name("opened.html")
    opened.write_text(page.read_text().replace("<details", "<details open"))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<body style="margin:0"><iframe id="f" src="{opened.as_uri()}" style="width:{width}px;height:900px;border:0">'
        "</iframe><pre id='out'></pre><script>onload = () => { const d = document.getElementById('f').contentDocument;"
        "const e = d.documentElement; document.getElementById('out').textContent = JSON.stringify({title: d.title,"
        "wide: e.scrollWidth, high: e.scrollHeight, scripts: d.scripts.length}); }</script></body>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    flags += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [str(CHROMIUM), *flags, frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return json.loads(done.stdout.partition('<pre id="out">')[2].partition("</pre>")[0].replace("&gt;", ">"))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [400, 1000])
def test_browser_runs_nothing_and_needs_no_sideways_scrolling(run: Path, tmp_path: Path, width: int) -> None:
    make_hostile(run)
    seen = browse(tmp_path, write_report(run), width)
    assert (seen["title"], seen["scripts"]) == ("run: parcel · veriloop", 0)
    assert seen["wide"] <= width
    assert seen["high"] > 2000


def test_numbers_are_readable() -> None:
    assert [spell_number(value) for value in (0, 1234567, 0.5, None, float("nan"))] == [
        "0", "1\u202f234\u202f567", "0.500", "–", "–",
    ]  # fmt: skip
    assert [spell_percent(value) for value in (0.0, 0.12345, 1.0, None)] == ["0.0 %", "12.3 %", "100.0 %", "–"]
    assert [spell_percent(value) for value in (0.9995, 0.99999, 0.0004)] == ["99.95 %", "99.999 %", "0.04 %"]
