"""Files of every kind become rows or a clear finding, never a traceback."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.errors import InputError
from veriloop.store.audit import document as module
from veriloop.store.audit.document import HEAD, SINGLE, Document
from veriloop.store.audit.source import Found, Source, find_sources, read_source
from veriloop.store.fault import Fault, RowError

ROWS = [{"id": 1, "text": 'é"x'}, {"id": 2, "list": [1.5, None, {"a": []}]}, {"id": 3}]


def read(path: Path, content: bytes) -> list[Found]:
    path.write_bytes(content)
    return list(read_source(Source(path, path.name)))


def faults(found: list[Found]) -> list[tuple[int, Fault]]:
    return [(row.number, row.value.fault) for row in found if isinstance(row.value, RowError)]


def values(found: list[Found]) -> list[Any]:
    return [row.value for row in found if not isinstance(row.value, RowError)]


def lines(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_lines_plain_and_packed_whatever_the_name_says(pack, name: str, tmp_path: Path):
    found = read(tmp_path / name, pack(lines(ROWS)))
    assert values(found) == ROWS
    assert [row.number for row in found] == [1, 2, 3]
    assert [row.text for row in found] == [json.dumps(row).encode() + b"\n" for row in ROWS]


@pytest.mark.parametrize("content", [json.dumps(ROWS), json.dumps(ROWS, indent=2), lines(ROWS).decode()])
def test_documents_are_lists_or_values_one_after_the_other(content: str, tmp_path: Path):
    assert values(read(tmp_path / "rows.json", content.encode())) == ROWS
    assert values(read(tmp_path / "rows.json.gz", gzip.compress(content.encode()))) == ROWS


def test_results_come_with_what_stands_before_their_lists(tmp_path: Path):
    results = {"timestamp": "now", "info": {"a": [{"b": 1}]}, "tasks": ROWS[:1], "simulations": ROWS[1:], "more": 1}
    found = read(tmp_path / "results.json", json.dumps(results, indent=1).encode())
    assert [(row.section, row.number) for row in found if row.section != HEAD] == [
        ("tasks", 1), ("simulations", 2), ("simulations", 3)
    ]  # fmt: skip
    assert found[0].value == {"timestamp": "now", "info": {"a": [{"b": 1}]}, "more": 1}
    [single] = read(tmp_path / "task.json", b'{"gold": [{"a": 1}]}')
    assert (single.section, single.value, single.number) == (SINGLE, {"gold": [{"a": 1}]}, 1)


BROKEN: list[tuple[str, bytes, list[tuple[int, Fault]]]] = [
    ("empty.jsonl", b"", [(0, Fault.BAD_FILE)]),
    ("blank.jsonl", b"\n\n", [(0, Fault.BAD_FILE)]),
    ("empty.json", b"", [(0, Fault.BAD_FILE)]),
    ("none.json", b"[]", [(0, Fault.BAD_FILE)]),
    ("binary.jsonl", bytes(range(256)), [(0, Fault.BAD_FILE)]),
    ("binary.json", b"\0\1\2", [(0, Fault.BAD_FILE)]),
    ("table.jsonl", b"PAR1....", [(0, Fault.BAD_FILE)]),
    ("wide.jsonl", "{}".encode("utf-16"), [(0, Fault.BAD_FILE)]),
    ("cut.jsonl", lines(ROWS)[:-5], [(3, Fault.BAD_JSON)]),
    ("latin.jsonl", lines(ROWS[:1]) + '{"a": "é"}\n'.encode("latin-1") + lines(ROWS[1:]), [(2, Fault.BAD_JSON)]),
    ("latin.json", '[{"a": "é"}]'.encode("latin-1"), [(1, Fault.BAD_FILE)]),
    ("list.jsonl", b"[1]\n", [(1, Fault.BAD_JSON)]),
    ("number.json", b"[1]", [(1, Fault.BAD_ROW)]),
    ("cut.json", json.dumps(ROWS).encode()[:-5], [(3, Fault.BAD_JSON)]),
    ("deep.json", b"[" * 100_000, [(1, Fault.BAD_JSON)]),
    ("cut.jsonl.gz", gzip.compress(lines(ROWS))[:-12], [(1, Fault.BAD_FILE)]),
    ("cut.json.gz", gzip.compress(json.dumps(ROWS).encode())[:30], [(1, Fault.BAD_FILE)]),
    ("spoilt.jsonl.gz", gzip.compress(lines(ROWS))[:20] + b"\xff" * 30, [(1, Fault.BAD_FILE)]),
]


@pytest.mark.parametrize(("name", "content", "expected"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_what_is_broken_is_named(name: str, content: bytes, expected: list[tuple[int, Fault]], tmp_path: Path):
    found = read(tmp_path / name, content)
    told = faults(found)
    if name.endswith(".gz"):  # how much is unpacked before the damage shows is zlib's affair
        assert [fault for _, fault in told] == [Fault.BAD_FILE]
    else:
        assert told == expected


def test_good_rows_around_a_broken_one_are_read(tmp_path: Path):
    content = lines(ROWS[:1]) + b"\xff\n" + lines(ROWS[1:])
    assert values(read(tmp_path / "rows.jsonl", content)) == ROWS


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path):
    assert values(read(tmp_path / "a.jsonl", b"\xef\xbb\xbf" + lines(ROWS))) == ROWS
    assert values(read(tmp_path / "a.json", b"\xef\xbb\xbf" + json.dumps(ROWS).encode())) == ROWS


LEAVES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5) | st.integers()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3))
TABLES = st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=5)


@given(rows=TABLES, chunk=st.integers(1, 40), indent=st.none() | st.integers(0, 3))
def test_a_document_is_the_same_however_it_is_read(rows: list[Any], chunk: int, indent: int | None):
    saved, module._CHUNK = module._CHUNK, chunk
    try:
        found = [value for _, value, _ in Document(io.StringIO(json.dumps(rows, indent=indent))).read()]
    finally:
        module._CHUNK = saved
    assert found == rows


@given(st.text(max_size=40))
def test_no_document_ends_in_anything_but_a_value_error(text: str):
    try:
        list(Document(io.StringIO(text)).read())
    except ValueError:
        return


def test_a_document_is_not_held_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_CHUNK", 1000)
    held = 0
    document = Document(io.StringIO(json.dumps([{"text": "x" * 100}] * 1000)))
    for _ in document.read():
        held = max(held, len(document._text))
    assert held < 3000


def test_folders_are_searched_but_for_what_is_no_data(tmp_path: Path):
    kept = ["a.jsonl", "b/c.json", "b/d.jsonl.gz"]
    for name in [*kept, "tau2_rl_database/db.json", ".hidden/e.jsonl", "f.txt", "g.jsonl.changes.jsonl", ".h.jsonl"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert [source.name for source in find_sources(tmp_path)] == kept
    assert [source.name for source in find_sources(tmp_path / "f.txt")] == ["f.txt"]


def test_of_a_run_the_data_and_tasks_are_read(small_run: Path):
    names = [source.name for source in find_sources(small_run)]
    assert names and all(name.startswith(("data/", "tasks/")) for name in names)


def test_nothing_to_read(tmp_path: Path):
    with pytest.raises(InputError, match="holds no data"):
        find_sources(tmp_path)
    with pytest.raises(InputError, match="there is no file or folder"):
        find_sources(tmp_path / "none")
