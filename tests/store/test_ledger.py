import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.errors import InputError, VeriloopError
from veriloop.store.file import StoreError
from veriloop.store.ledger import LEDGER_VERSION, Ledger

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@given(payload=JSON)
def test_payload_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, payload: object):
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.put(3, "synth", payload)
    with Ledger(path) as ledger:
        entry = ledger.get(3, "synth")
        assert entry is not None
        assert entry.payload == payload
        assert json.loads(entry.text) == payload


def test_same_put_twice_changes_nothing(ledger: Ledger):
    ledger.put(1, "synth", {"a": 1}, seconds=2.0)
    first = ledger.get(1, "synth")
    ledger.put(1, "synth", {"a": 1}, seconds=2.0)
    assert ledger.get(1, "synth") == first
    assert ledger.count() == 1


def test_put_replaces_the_outcome(ledger: Ledger):
    ledger.put(1, "synth", {"reason": "endpoint down"}, "failed")
    ledger.put(1, "synth", {"id": "t"}, "done")
    entry = ledger.get(1, "synth")
    assert entry and (entry.status, entry.payload) == ("done", {"id": "t"})


def test_attempts_are_counted_and_survive_the_outcome(ledger: Ledger):
    assert ledger.start(7, "rollout:0") == 1
    assert ledger.start(7, "rollout:0") == 2
    entry = ledger.get(7, "rollout:0")
    assert entry and entry.status == "started"
    ledger.put(7, "rollout:0", {}, "done")
    entry = ledger.get(7, "rollout:0")
    assert entry and (entry.status, entry.attempts) == ("done", 2)


def test_entries_come_in_order_of_item_and_number(ledger: Ledger):
    for item in (300, 2, 11):
        for stage in ("rollout:10", "rollout:2", "synth", "rollout:0"):
            ledger.put(item, stage, [item, stage])
    found = [(entry.item, entry.stage) for entry in ledger.entries("rollout:")]
    stages = ["rollout:0", "rollout:2", "rollout:10"]
    assert found == [(item, stage) for item in (2, 11, 300) for stage in stages]
    assert [entry.item for entry in ledger.entries("synth")] == [2, 11, 300]
    assert ledger.count("rollout:") == 9
    assert ledger.count() == 12


@given(st.sets(st.tuples(st.integers(0, 400), st.sampled_from(["synth", "proof", "rollout:0", "rollout:1"]))))
def test_entries_yield_every_row_once(tmp_path_factory: pytest.TempPathFactory, rows: set[tuple[int, str]]):
    with Ledger(tmp_path_factory.mktemp("ledger") / "ledger.sqlite") as ledger:
        with ledger.batch():
            for item, stage in rows:
                ledger.put(item, stage, None, "done" if item % 2 else "rejected")
        assert [(entry.item, entry.stage) for entry in ledger.entries()] == sorted(
            rows, key=lambda row: (row[0], len(row[1]), row[1])
        )
        odd = {row for row in rows if row[0] % 2}
        assert {(entry.item, entry.stage) for entry in ledger.entries(status="done")} == odd
        assert ledger.count(status="done") == len(odd)


def test_writing_while_iterating(ledger: Ledger):
    for item in range(200):
        ledger.put(item, "synth", item)
    for entry in ledger.entries("synth"):
        ledger.put(entry.item, "proof", {"of": entry.payload})
    assert ledger.count("proof") == 200


def test_iteration_needs_constant_memory(ledger: Ledger):
    def peak(count: int) -> int:
        with ledger.batch():
            for item in range(count):
                ledger.put(item, "synth", "x" * 2000)
        tracemalloc.start()
        assert sum(1 for _ in ledger.entries("synth")) == count
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    few = peak(300)
    assert peak(3000) < 1.3 * few + 50_000


def test_ten_times_the_rows_take_ten_times_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    steps = 0

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        def note() -> None:
            nonlocal steps
            steps += 1

        connection = sqlite3.Connection(*args, **options)
        connection.set_progress_handler(note, 100)
        return connection

    monkeypatch.setattr("veriloop.store.ledger.sqlite3.connect", connect)

    def read(count: int) -> int:
        nonlocal steps
        with Ledger(tmp_path / f"{count}.sqlite") as ledger:
            with ledger.batch():
                for item in range(count):
                    for stage in ("synth", "verdict:0", "verdict:1"):
                        ledger.put(item, stage, None)
            steps = 0
            assert sum(1 for _ in ledger.entries("synth")) == count
            assert sum(1 for _ in ledger.entries("verdict:", "done")) == 2 * count
        return steps

    assert read(3000) < 13 * read(300)


def test_a_ledger_of_the_first_version_is_read_and_brought_up_to_date(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.put(1, "synth", "kept")
    with closing(sqlite3.connect(path)) as old:
        old.executescript("DROP INDEX in_order; CREATE INDEX by_stage ON entries (stage, status)")
        old.execute("PRAGMA user_version = 1")
    with Ledger(path) as ledger:
        assert [entry.payload for entry in ledger.entries("synth")] == ["kept"]
    with closing(sqlite3.connect(path)) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (LEDGER_VERSION,)
        indexes = {name for _, name, *_ in new.execute("PRAGMA index_list(entries)")}
    assert "in_order" in indexes and "by_stage" not in indexes


def test_batch_is_kept_whole_or_not_at_all(ledger: Ledger):
    def write_and_break():
        with ledger.batch():
            ledger.put(1, "synth", 1)
            ledger.put(2, "synth", 2)
            raise ValueError

    with pytest.raises(ValueError):
        write_and_break()
    assert ledger.count() == 0
    with ledger.batch():
        ledger.put(1, "synth", 1)
    assert ledger.count() == 1


def test_meta(ledger: Ledger):
    assert ledger.get_meta("rounds", []) == []
    ledger.put_meta("rounds", [{"round": 0}])
    ledger.put_meta("rounds", [{"round": 0}, {"round": 1}])
    assert ledger.get_meta("rounds") == [{"round": 0}, {"round": 1}]


def test_nothing_acknowledged_is_lost_when_killed(tmp_path: Path):
    """A process that is killed while it writes keeps every item whose number it had printed, each of them whole."""
    path = tmp_path / "ledger.sqlite"
    code = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from veriloop.store.ledger import Ledger
        ledger = Ledger(Path(sys.argv[1]))
        for item in range(10**9):
            with ledger.batch():
                ledger.put(item, "synth", {"item": item, "text": "x" * 500})
                ledger.put(item, "proof", {"item": item})
            print(item, flush=True)
        """
    )
    for delay in (0.15, 0.4):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = [0, *map(int, process.stdout.read().split("\n")[:-1])]
        process.wait()
        with Ledger(path) as ledger:
            kept = [entry.payload["item"] for entry in ledger.entries("synth")]
            assert kept[: len(acknowledged)] == acknowledged
            assert len(kept) <= len(acknowledged) + 1
            assert [entry.payload["item"] for entry in ledger.entries("proof")] == kept


def test_file_that_is_no_database(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database " * 100)
    with pytest.raises(InputError, match="corrupt.*start a new run"):
        Ledger(path)
    assert path.read_bytes() == b"this is no database " * 100


def test_damage_in_the_middle_is_found_on_opening(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        for item in range(500):
            ledger.put(item, "synth", "x" * 300)
    data = bytearray(path.read_bytes())
    data[8192:40960] = os.urandom(40960 - 8192)
    path.write_bytes(data)
    with pytest.raises(InputError, match="corrupt"):
        Ledger(path)


def test_newer_ledger_is_refused(tmp_path: Path):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {LEDGER_VERSION + 1}")
    connection.close()
    with pytest.raises(InputError, match="upgrade veriloop"):
        Ledger(path)


def test_full_disk_keeps_what_was_stored(tmp_path: Path):
    """SQLite's page limit fails writes with the very error of a full disk."""
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(0, "synth", "kept")
        ledger._query("PRAGMA max_page_count = 12", ())
        with pytest.raises(StoreError, match="full.*free space and resume"):
            for item in range(1, 1000):
                ledger.put(item, "synth", "x" * 5000)
        entry = ledger.get(0, "synth")
        assert entry and entry.payload == "kept"
        stored = ledger.count()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.count() == stored


def test_full_disk_inside_a_batch(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger._query("PRAGMA max_page_count = 12", ())
        with pytest.raises(StoreError, match="full"), ledger.batch():
            for item in range(1000):
                ledger.put(item, "synth", "x" * 5000)
        assert ledger.count() == 0


def test_store_error_is_one_of_ours():
    assert issubclass(StoreError, VeriloopError)
    assert StoreError.exit_code == 1


def test_locked_ledger_is_told(tmp_path: Path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        ledger._query("PRAGMA busy_timeout = 50", ())
        with pytest.raises(StoreError, match="another process is writing"):
            ledger.put(0, "synth", 1)
        other.close()
