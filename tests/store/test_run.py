import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.errors import InputError
from veriloop.store.file import StoreError, read_json, write_json, write_lines
from veriloop.store.run import RUN_VERSION, create_run, open_run, read_config
from veriloop.store.toml import dump_toml

CONFIG = {"domain": "parcel", "n": 4, "seed": 7, "verify": True, "note": None, "limits": {"turns": 60, "ratio": 0.5}}
KEYS = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=8)
SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(blacklist_categories=("Cs",)))
VALUES = SCALARS | st.floats(allow_nan=False, allow_infinity=False) | st.lists(SCALARS, max_size=3)


@given(st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=3), max_size=5))
def test_toml_reads_back(values: dict):
    assert tomllib.loads(dump_toml(values)) == values


def test_toml_refuses_what_it_cannot_say():
    with pytest.raises(TypeError, match="object"):
        dump_toml({"a": object()})


def test_create_and_open(tmp_path: Path):
    with create_run(tmp_path / "a" / "run", CONFIG) as run:
        run.ledger.put(0, "synth", 1)
        assert run.domain == "parcel"
        created = run.config
    with open_run(tmp_path / "a" / "run") as run:
        assert run.config == created == {key: value for key, value in CONFIG.items() if value is not None}
        assert run.ledger.count() == 1


def test_existing_run_needs_resume(tmp_path: Path):
    create_run(tmp_path / "run", CONFIG).close()
    before = sorted(path.name for path in (tmp_path / "run").iterdir())
    with pytest.raises(InputError, match="exists already.*--resume"):
        create_run(tmp_path / "run", CONFIG)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before


def test_resume_keeps_what_was_stored(tmp_path: Path):
    with create_run(tmp_path / "run", CONFIG) as run:
        run.ledger.put(0, "synth", 1)
    with create_run(tmp_path / "run", CONFIG, resume=True) as run:
        assert run.ledger.count() == 1


def test_resume_with_other_settings_is_refused(tmp_path: Path):
    create_run(tmp_path / "run", CONFIG).close()
    with pytest.raises(InputError, match=r"made with seed = 7, not 8"):
        create_run(tmp_path / "run", {**CONFIG, "seed": 8}, resume=True)


def test_resume_of_nothing_starts_anew(tmp_path: Path):
    with create_run(tmp_path / "run", CONFIG, resume=True) as run:
        assert run.ledger.count() == 0


def test_run_killed_before_its_settings_were_written(tmp_path: Path):
    create_run(tmp_path / "run", CONFIG).close()
    (tmp_path / "run" / "run.toml").unlink()
    create_run(tmp_path / "run", CONFIG).close()
    assert read_config(tmp_path / "run")["seed"] == 7


def test_directory_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and no run"):
        create_run(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_out_that_is_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        create_run(tmp_path / "file", CONFIG)
    with pytest.raises(InputError, match="cannot write to --out"):
        create_run(tmp_path / "file" / "run", CONFIG)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that nobody can write to")
def test_unwritable_out():
    with pytest.raises(InputError, match="cannot write to --out"):
        create_run(Path("/proc/veriloop-run"), CONFIG)


def test_two_processes_cannot_write_one_run(tmp_path: Path):
    path = tmp_path / "run"
    create_run(path, CONFIG).close()
    code = (
        "import sys; from pathlib import Path; from veriloop.store.run import create_run, read_config\n"
        "path = Path(sys.argv[1])\n"
        "with create_run(path, read_config(path), resume=True): print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="in use by another process"):
        create_run(path, CONFIG, resume=True)
    holder.kill()
    holder.wait()
    create_run(path, CONFIG, resume=True).close()


def test_lock_is_given_back_when_creating_fails(tmp_path: Path):
    create_run(tmp_path / "run", CONFIG).close()
    ledger = tmp_path / "run" / "ledger.sqlite"
    good = ledger.read_bytes()
    ledger.write_bytes(b"broken" * 1000)
    with pytest.raises(InputError, match="corrupt"):
        create_run(tmp_path / "run", CONFIG, resume=True)
    ledger.write_bytes(good)
    create_run(tmp_path / "run", CONFIG, resume=True).close()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not toml at all", "cannot be read"),
        (f"version = {RUN_VERSION + 1}", "upgrade veriloop"),
        ('domain = "parcel"', "upgrade veriloop"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, text: str, problem: str):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match=problem):
        open_run(tmp_path)


def test_opening_what_is_no_run(tmp_path: Path):
    with pytest.raises(InputError, match="is no run"):
        open_run(tmp_path)
    create_run(tmp_path / "run", CONFIG).close()
    (tmp_path / "run" / "ledger.sqlite").unlink()
    with pytest.raises(InputError, match=r"no ledger\.sqlite"):
        open_run(tmp_path / "run")
    assert not (tmp_path / "run" / "ledger.sqlite").exists()


def test_file_is_written_whole_or_not_at_all(tmp_path: Path):
    path = tmp_path / "deep" / "rows.jsonl"
    write_lines(path, ["old"])

    def break_off():
        yield "new"
        raise OSError(28, os.strerror(28))

    with pytest.raises(StoreError, match="No space left"):
        write_lines(path, break_off())
    assert path.read_text() == "old\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["rows.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_told(tmp_path: Path):
    (tmp_path / ".full.tmp").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left"):
        write_lines(tmp_path / "full", ["x" * 100_000])
    assert not (tmp_path / "full").exists()


def test_equal_json_gives_equal_bytes(tmp_path: Path):
    write_json(tmp_path / "a", {"b": 1, "a": [1, 2]})
    write_json(tmp_path / "b", {"a": [1, 2], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_reading_broken_json(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"a": ')
    with pytest.raises(InputError, match="is no JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot read"):
        read_json(tmp_path / "missing.json")
