"""Files of checkers that models wrote: the checker is text in them, proved in a sandbox and refused without one."""

import ast
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.check.allow import CheckerError
from veriloop.check.standalone import _quote, render_sandboxed_file
from veriloop.proof.prove import render_checker_file
from veriloop.store.artefact import write_artefacts
from veriloop.store.run import create_run

OWN = """# It's "quoted" \\ and escaped: \\n
def check(changes, calls, messages):
    \"\"\"Judge one dialogue.\"\"\"
    fields = [change["after"] for change in changes]
    return {"passed": fields == [{"a": "\\\\"}], "reason": "it's"}
"""
RIGHT = ([{"table": "t", "key": "k", "before": {}, "after": {"a": "\\"}}], [], [])
WRONG = {"nothing": ([], [], []), 'another "value"': ([{"table": "t", "key": "k", "before": {}, "after": {}}], [], [])}


def run_file(tmp_path, text, *flags):
    file = tmp_path / "checker.py"
    file.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, *flags, str(file)], capture_output=True, text=True, timeout=60)


def test_it_proves_itself_in_the_sandbox(tmp_path):
    done = run_file(tmp_path, render_sandboxed_file(OWN, RIGHT, WRONG))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok: 1 right, 2 wrong\n", "")


def test_without_a_sandbox_it_refuses_in_one_line(tmp_path):
    hidden = "import sys\nsys.modules['pydantic_monty'] = None\n" + render_sandboxed_file(OWN, RIGHT, WRONG)
    done = run_file(tmp_path, hidden)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("refused: a model wrote this checker")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (WRONG["nothing"], {}, "the right dialogue fails"),
        (RIGHT, {"the same": RIGHT}, "a wrong dialogue passes: the same"),
    ],
)
def test_a_checker_that_does_not_hold_makes_the_file_fail(tmp_path, right, wrong, said):
    done = run_file(tmp_path, render_sandboxed_file(OWN, right, wrong))
    assert done.returncode == 1
    assert f"AssertionError: {said}" in done.stderr


def test_python_never_runs_what_the_model_wrote(tmp_path):
    """Neither run, nor imported, nor with what it does put at the beginning or end of the text."""
    touches = f'open("{tmp_path}/touched", "w")\n'
    for source in (touches + OWN, OWN + touches, OWN + '"""\n' + touches + '"""\n', OWN + "\\\n" + touches):
        text = render_sandboxed_file(source, RIGHT, WRONG)
        run_file(tmp_path, text)
        (tmp_path / "imported.py").write_text(text)
        code = "import imported; assert not hasattr(imported, 'check')"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
        assert not (tmp_path / "touched").exists()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_is_read_as_it_was(text):
    literal = '"""\\\n' + _quote(text) + '"""'
    assert ast.literal_eval(literal) == (text if text.endswith("\n") else text + "\n")


def test_only_checkers_that_were_not_compiled_need_the_sandbox(parcel, tasks, tmp_path):
    task = tasks[0]
    compiled = render_checker_file(parcel, task)
    assert compiled.startswith(task.checker)
    assert "pydantic_monty" not in compiled
    own = task.model_copy(update={"checker": task.checker + "\n# mine\n"})
    text = render_checker_file(parcel, own)
    assert 'CHECKER = """' in text
    assert run_file(tmp_path, text).stdout.startswith("ok: 1 right, ")
    assert run_file(tmp_path, compiled, "-I", "-S").stdout.startswith("ok: 1 right, ")


def test_no_checker_is_written_that_is_not_allowed(parcel, tasks, tmp_path):
    bad = tasks[0].model_copy(update={"checker": "import os\n" + tasks[0].checker})
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", bad.model_dump(mode="json"))
        with pytest.raises(
            CheckerError, match=f"checker of task {bad.id} is not written: checker line 1: Import is not"
        ):
            write_artefacts(run, lambda task: render_checker_file(parcel, task))
    assert not list((tmp_path / "run").glob("checkers/*"))
