"""Task files and checkers: written from the ledger, the same bytes for the same tasks, read back with their version."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from veriloop.core.errors import InputError
from veriloop.domains.task import TASK_VERSION, Task
from veriloop.store.file import read_json, write_json, write_text
from veriloop.store.result import iter_tasks
from veriloop.store.run import Run


def write_artefacts(run: Run, render: Callable[[Task], str]) -> int:
    """Write `tasks/<id>.json` and `checkers/<id>.py` of every proved task and return how many tasks there are.

    render: gives the text of a task's standalone checker (`veriloop.proof.prove.render_checker_file`).
    Files of tasks that the ledger does not prove are removed, so that the directories say what it says.
    """
    ids = set[str]()
    for _, task in iter_tasks(run):
        ids.add(task.id)
        write_json(run.directory("tasks") / f"{task.id}.json", task.model_dump(mode="json"))
        write_text(run.directory("checkers") / f"{task.id}.py", render(task).rstrip("\n"))
    for folder, suffix in (("tasks", ".json"), ("checkers", ".py")):
        for file in run.directory(folder).glob(f"*{suffix}"):
            if file.stem not in ids:
                file.unlink()
    return len(ids)


def read_tasks(path: Path) -> Iterator[Task]:
    """Yield the tasks of a run directory, a directory of task files or one task file, by id."""
    if path.is_file():
        yield read_task(path)
        return
    if not path.is_dir():
        raise InputError(f"there is no run {str(path)!r}; make one with `veriloop synth DOMAIN --out RUN`")
    folder = path / "tasks" if (path / "tasks").is_dir() else path
    files = sorted(folder.glob("*.json"))
    if not files:
        raise InputError(f"no task files in {str(folder)!r}; make some with `veriloop synth DOMAIN --out RUN`")
    for file in files:
        yield read_task(file)


def read_task(file: Path) -> Task:
    """Return the task of a file; raises InputError for a broken, edited or newer one."""
    data = read_json(file)
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > TASK_VERSION:
        raise InputError(
            f"task file {str(file)!r} has version {version}, this veriloop reads up to {TASK_VERSION}; upgrade veriloop"
        )
    try:
        task = Task.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "top level"
        raise InputError(f"{str(file)!r} is no task: {place}: {first['msg']}; export it again from its run") from error
    if task.id != file.stem:
        raise InputError(f"task file {str(file)!r} was edited: its content is {task.id}; rename it or restore it")
    return task
