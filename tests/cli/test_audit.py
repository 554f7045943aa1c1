"""`veriloop audit`: exit codes, the JSON that scripts rely on, what people read, and files that are no data."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from veriloop.cli.main import run

SYSTEM = {"role": "system", "content": "Help."}


def row(number: int, **fields: Any) -> dict[str, Any]:
    said = {"role": "user", "content": f"Do {number}."}
    return {"messages": [SYSTEM, said, {"role": "assistant", "content": "Done."}], **fields}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def audit(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    assert run(["audit", *map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1 and captured.err == ""
    return json.loads(captured.out)


def test_sound_data(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    found = audit(capsys, write(tmp_path / "a.jsonl", row(1), row(2)))
    assert (found["rows"], found["findings"], found["ok"]) == (2, {}, True)
    assert run(["audit", str(tmp_path / "a.jsonl")]) == 0
    text = capsys.readouterr().out
    assert "2 rows in 1 files" in text and "a.jsonl: 2 messages" in text and "nothing found" in text


@pytest.mark.parametrize(("gate", "code"), [("never", 0), ("error", 0), ("warning", 1), ("note", 1)], ids=str)
def test_the_gate(capsys: pytest.CaptureFixture[str], tmp_path: Path, gate: str, code: int):
    path = write(tmp_path / "a.jsonl", row(1), row(2, correct=1, reward=0.0))
    found = audit(capsys, path, "--fail-on", gate, code=code)
    assert (found["ok"], found["fail_on"]) == (code == 0, gate)
    [(name, kind)] = found["findings"].items()
    assert (name, kind["count"], kind["rows"], kind["severity"]) == ("disagreement", 1, [2], "warning")
    assert kind["examples"] == ["a.jsonl:2: correct says yes and reward says no"]


def test_what_people_read(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    write(tmp_path / "a.jsonl", {}, *[row(n) for n in range(7)], *[row(n, domain="shop") for n in range(7)])
    assert run(["audit", str(tmp_path), "--fix", str(tmp_path.with_name("fixed"))]) == 1
    text = capsys.readouterr().out
    assert "error     bad_row       1  a.jsonl:1" in text
    assert "warning   duplicate     7  a.jsonl:9, a.jsonl:10, a.jsonl:11, a.jsonl:12, a.jsonl:13, ...  drop" in text
    assert "there are findings at or above --fail-on error" in text
    assert "name it by --domain" in text and "shop" in text
    assert "7 rows kept, 0 of them mended, 8 left out" in text
    assert "the copy passes the same audit" in text


def test_a_copy_and_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = write(tmp_path / "a.jsonl", row(1), row(1))
    found = audit(capsys, path, "--fix", tmp_path / "b.jsonl", "--html", tmp_path / "a.html")
    assert found["fixed"] == {
        "path": str(tmp_path / "b.jsonl"), "changes": str(tmp_path / "b.jsonl.changes.jsonl"),
        "kept": 1, "mended": 0, "dropped": 1, "ok": True,
    }  # fmt: skip
    assert "duplicate" in Path(found["page"]).read_text()
    none = audit(capsys, write(tmp_path / "c.jsonl", {}), "--fix", tmp_path / "d.jsonl", code=1)
    assert (none["fixed"]["kept"], none["fixed"]["ok"]) == (0, None)


def test_long_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = write(tmp_path / "a.jsonl", row(1, note="x" * 500))
    assert "too_long" in audit(capsys, path, "--max-tokens", 100)["findings"]
    assert audit(capsys, path)["findings"] == {}


def test_a_domain_for_rows_that_name_none(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    function = {"name": "no_such_tool", "arguments": "{}"}
    calls = [{"id": "c", "type": "function", "function": function}]
    called = {"messages": [SYSTEM, {"role": "assistant", "content": "", "tool_calls": calls}]}
    path = write(tmp_path / "a.jsonl", called)
    assert list(audit(capsys, path)["findings"]) == ["no_tools"]
    assert list(audit(capsys, path, "--domain", "parcel", code=1)["findings"]) == ["unknown_tool"]


ODD: dict[str, tuple[bytes, str]] = {
    "empty.jsonl": (b"", "bad_file"),
    "binary.jsonl": (bytes(range(256)) * 40, "bad_file"),
    "image.json": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "bad_file"),
    "cut.jsonl": (json.dumps(row(1)).encode()[:-9], "bad_json"),
    "cut.json": (json.dumps([row(1)]).encode()[:-9], "bad_json"),
    "cut.jsonl.gz": (gzip.compress(json.dumps(row(1)).encode())[:-20], "bad_file"),
    "latin.jsonl": (json.dumps(row(1, name="é"), ensure_ascii=False).encode("latin-1"), "bad_json"),
    "wide.jsonl": (json.dumps(row(1)).encode("utf-16"), "bad_file"),
    "deep.jsonl": (b"[" * 1_000_000, "bad_json"),
    "deep.json": (b'{"a":' * 500_000, "bad_json"),
    "long.jsonl": (json.dumps(row(1, note="x" * 10_000_000)).encode(), "too_long"),
    "long.json": (json.dumps([row(1, note="x" * 10_000_000)]).encode(), "too_long"),
    "spaces.jsonl": (b" " * 10_000_000, "bad_file"),
}


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name, (_, fault) in ODD.items()])
def test_odd_files_are_a_clear_finding(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, fault: str):
    (tmp_path / name).write_bytes(ODD[name][0])
    found = audit(capsys, tmp_path / name, "--fail-on", "warning", code=1)
    assert list(found["findings"]) == [fault]
    assert found["findings"][fault]["count"] == 1


@pytest.mark.parametrize("name", ["one.jsonl", "one.json", "one.jsonl.gz"])
def test_one_row(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str):
    data = json.dumps(row(1)).encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found = audit(capsys, tmp_path / name)
    assert (found["rows"], found["findings"]) == (1, {})


def test_a_folder_of_odd_files_is_read_to_its_end(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    for name, (data, _) in ODD.items():
        (tmp_path / name).write_bytes(data)
    write(tmp_path / "sound.jsonl", row(7))
    found = audit(capsys, tmp_path, "--fix", tmp_path.with_name("fixed"), code=1)
    assert len(found["files"]) == len(ODD) + 1
    assert found["fixed"]["ok"] is True and found["fixed"]["kept"] == 2, "the long rows say the same but for a note"


def test_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = write(tmp_path / "a.jsonl", row(1))
    cases = [
        ((tmp_path / "none",), "there is no file or folder"),
        ((path, "--fix", path), "is the input itself"),
        ((path, "--domain", "parcle"), "did you mean 'parcel'?"),
        ((path, "--fail-on", "everything"), "--fail-on"),
        ((path, "--max-tokens", 0), "--max-tokens"),
    ]
    for arguments, problem in cases:
        assert run(["audit", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert problem in error and error.count("\n") == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jsonl"]


def test_memory_does_not_grow_with_the_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    def peak(count: int) -> int:
        with (tmp_path / "a.jsonl").open("w") as file:
            file.writelines(json.dumps(row(n, note=str(n) * 2000)) + "\n" for n in range(count))
        tracemalloc.start()
        audit(capsys, tmp_path / "a.jsonl")
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    small, big = peak(500), peak(2000)
    assert big - small < 1500 * 2000, "less is kept of a row than the row itself"
