import json
import subprocess
import sys
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.task import TASK_VERSION, Task
from veriloop.store.artefact import read_task, read_tasks, write_artefacts
from veriloop.store.manifest import find_differences, hash_files, write_manifest
from veriloop.store.result import iter_tasks
from veriloop.store.run import create_run, open_run


@pytest.fixture
def copy(tmp_path: Path, tasks: list[Task]) -> Path:
    """A run of three tasks without dialogues, with one item rejected in between."""
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", tasks[0].model_dump(mode="json"))
        run.ledger.put(1, "synth", {"reason": "ambiguous"}, "rejected")
        run.ledger.put(12, "synth", tasks[1].model_dump(mode="json"))
        run.ledger.put(5, "synth", tasks[2].model_dump(mode="json"))
        write_artefacts(run, lambda task: f"# {task.id}\n")
    return tmp_path / "run"


def test_tasks_come_in_item_order_without_rejected(copy: Path, tasks: list[Task]):
    with open_run(copy) as run:
        assert list(iter_tasks(run)) == [(0, tasks[0]), (5, tasks[2]), (12, tasks[1])]


def test_files_are_named_by_content(copy: Path, tasks: list[Task]):
    assert sorted(path.stem for path in (copy / "tasks").iterdir()) == sorted(task.id for task in tasks[:3])
    assert (copy / "checkers" / f"{tasks[0].id}.py").read_text() == f"# {tasks[0].id}\n"
    assert list(read_tasks(copy)) == sorted(tasks[:3], key=lambda task: task.id)
    assert list(read_tasks(copy / "tasks")) == list(read_tasks(copy))
    assert list(read_tasks(copy / "tasks" / f"{tasks[0].id}.json")) == [tasks[0]]


def test_writing_again_gives_the_same_bytes_and_removes_strays(copy: Path):
    before = hash_files(copy)
    (copy / "tasks" / "0000000000000000.json").write_text("{}")
    (copy / "checkers" / "0000000000000000.py").write_text("")
    with open_run(copy) as run:
        assert write_artefacts(run, lambda task: f"# {task.id}") == 3
    assert hash_files(copy) == before


def edit(copy: Path, **changes: object) -> Path:
    file = next((copy / "tasks").iterdir())
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return file


def test_task_of_a_newer_version_is_refused(copy: Path):
    with pytest.raises(InputError, match=f"version {TASK_VERSION + 1}.*upgrade veriloop"):
        read_task(edit(copy, version=TASK_VERSION + 1, field_of_the_future=1))


def test_edited_task_is_refused(copy: Path):
    with pytest.raises(InputError, match="was edited"):
        read_task(edit(copy, told=["something else"]))


@pytest.mark.parametrize("changes", [{"gold": 3}, {"unknown": 1}])
def test_file_that_is_no_task(copy: Path, changes: dict[str, object]):
    with pytest.raises(InputError, match="is no task"):
        read_task(edit(copy, **changes))


def test_directory_without_tasks(tmp_path: Path):
    with pytest.raises(InputError, match="no task files"):
        list(read_tasks(tmp_path))


def test_manifest_finds_every_difference(copy: Path):
    written = write_manifest(copy)
    assert set(written) == {"run.toml", *(f"tasks/{p.name}" for p in (copy / "tasks").iterdir()),
                            *(f"checkers/{p.name}" for p in (copy / "checkers").iterdir())}  # fmt: skip
    assert find_differences(copy) == []
    changed, gone = sorted((copy / "tasks").iterdir())[:2]
    changed.write_text(changed.read_text() + " ")
    gone.unlink()
    (copy / "data").mkdir()
    (copy / "data" / "new.jsonl").write_text("")
    assert find_differences(copy) == sorted(["data/new.jsonl", f"tasks/{changed.name}", f"tasks/{gone.name}"])


def test_manifest_leaves_out_what_changes_by_itself(copy: Path):
    write_manifest(copy)
    with open_run(copy) as run:
        run.ledger.put_meta("anything", 1)
    (copy / "report.html").write_text("<p>")
    assert find_differences(copy) == []


def test_file_that_is_no_manifest(copy: Path):
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="is no manifest"):
        find_differences(copy)


def test_checkers_of_a_real_run_prove_themselves(small_run: Path, tasks: list[Task]):
    for task in tasks[:3]:
        file = small_run / "checkers" / f"{task.id}.py"
        done = subprocess.run([sys.executable, "-I", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
