"""Bad input: one clear line on stderr, exit code 2, and nothing written."""

import json
import shutil
from pathlib import Path

import pytest

from veriloop.cli.main import run
from veriloop.domains.task import TASK_VERSION


def refuse(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must be refused and return its one line."""
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.startswith("veriloop: ") and captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def out(tmp_path: Path):
    """A place for a run that must not be made."""
    yield tmp_path / "out"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def copied(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / "run"))


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "shop.py"
    file.write_text(text)
    return file


def test_unknown_command(capsys: pytest.CaptureFixture[str]):
    assert "did you mean 'synth'?" in refuse(capsys, "snyth", "parcel")
    assert "commands are demo, domains" in refuse(capsys, "zzz")


def test_unknown_option(capsys: pytest.CaptureFixture[str], out: Path):
    assert "--sead" in refuse(capsys, "synth", "parcel", "-n", 2, "--out", out, "--sead", 3)


def test_missing_argument(capsys: pytest.CaptureFixture[str], out: Path):
    assert "-n" in refuse(capsys, "synth", "parcel", "--out", out)
    assert "--out" in refuse(capsys, "synth", "parcel", "-n", 2)
    assert "DOMAIN" in refuse(capsys, "synth", "-n", 2, "--out", out).upper()


def test_unknown_domain(capsys: pytest.CaptureFixture[str], out: Path):
    assert "did you mean 'parcel'?" in refuse(capsys, "synth", "parcle", "-n", 2, "--out", out)
    assert "did you mean 'tau2/retail'?" in refuse(capsys, "check", "tau2/retial")


def test_missing_domain_file(capsys: pytest.CaptureFixture[str], out: Path):
    assert "no domain file 'nowhere/shop.py'" in refuse(capsys, "synth", "nowhere/shop.py", "-n", 2, "--out", out)


@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_bad_count(capsys: pytest.CaptureFixture[str], out: Path, count: str):
    assert "-n" in refuse(capsys, "synth", "parcel", f"-n={count}", "--out", out)


@pytest.mark.parametrize("command", [("synth", "parcel", "-n", 2), ("ablate", "rl", "parcel")])
@pytest.mark.parametrize(("flag", "name"), [("--only-tools", "fly"), ("--only-tiers", "hard")])
def test_scope_that_is_not_there(
    capsys: pytest.CaptureFixture[str], out: Path, command: tuple[str | int, ...], flag: str, name: str
):
    error = refuse(capsys, *command, flag, name, "--out", out)
    assert f"'{name}' is no " in error and "choose from" in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--pilot", 1], "--pilot"),
        (["--search", "llm"], "--model"),
        (["--model", "m"], "--model goes with"),
        (["--roles", "llm"], "--model goes with"),
        (["--search", "native", "--model", "m"], "--model goes with"),
        (["--search", "gepa", "--model", "m", "--base-url", "localhost:8000"], "no address"),
        (["--roles", "nowhere.toml"], "'nowhere.toml' cannot be read"),
        (["--search", "llm", "--model", "m", "--key-env", "NO_KEY_OF_THIS_NAME"], "NO_KEY_OF_THIS_NAME"),
        (["--search", "llm", "--model", "m", "--base-url", "localhost:8000"], "no address"),
        (["--search", "llm", "--model", "m", "--usd-per-mtok", "-1", "2"], "negative"),
        (["--search", "llm", "--model", "m", "--max-usd", "1"], "--usd-per-mtok"),
        (["--search", "llm", "--model", "m", "--prompts", "nowhere"], "no folder"),
    ],
)
def test_bad_evolution(capsys: pytest.CaptureFixture[str], out: Path, flags: list[str | int], said: str):
    assert said in refuse(capsys, "synth", "parcel", "-n", 2, "--out", out, *flags)


def test_unwritable_out(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "file").write_text("kept")
    error = refuse(capsys, "synth", "parcel", "-n", 2, "--out", tmp_path / "file" / "run")
    assert "cannot write to --out" in error and "choose a directory" in error
    assert "is a file" in refuse(capsys, "synth", "parcel", "-n", 2, "--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory that nobody can write to")
def test_out_in_a_read_only_place(capsys: pytest.CaptureFixture[str]):
    assert "cannot write to --out" in refuse(capsys, "synth", "parcel", "-n", 2, "--out", "/proc/run")


def test_existing_run_without_resume(capsys: pytest.CaptureFixture[str], copied: Path):
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    assert "continue it with --resume" in refuse(capsys, "synth", "parcel", "-n", 8, "--seed", 5, "--out", copied)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_resume_with_other_settings(capsys: pytest.CaptureFixture[str], copied: Path):
    error = refuse(
        capsys, "synth", "parcel", "-n", 8, "--seed", 6, "--rounds", 0, "--no-evolve", "--out", copied, "--resume"
    )
    assert "seed = 5, not 6" in error


def test_directory_of_something_else(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("")
    assert "not empty and no run" in refuse(capsys, "synth", "parcel", "-n", 2, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_domain_file_with_a_syntax_error(capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path):
    file = write(tmp_path, "import json\n\ndef load(:\n    pass\n")
    assert f"{file}:3: " in refuse(capsys, "synth", file, "-n", 2, "--out", out)
    assert f"{file}:3: " in refuse(capsys, "check", file)


def test_tool_without_type_hints(capsys: pytest.CaptureFixture[str], tmp_path: Path, out: Path):
    file = write(
        tmp_path,
        "from veriloop.domains.tool import collect_tools, tool\n"
        "class Shop:\n"
        "    @tool('read')\n"
        "    def find(self, name):\n"
        "        '''Find.'''\n"
        "        return name\n"
        "domain = collect_tools(Shop)\n",
    )
    error = refuse(capsys, "synth", file, "-n", 2, "--out", out)
    assert "'Shop.find'" in error and str(file) in error and "no type hint for 'name'; add one" in error


def test_task_file_of_a_newer_version(capsys: pytest.CaptureFixture[str], copied: Path):
    file = min((copied / "tasks").iterdir())
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": TASK_VERSION + 1}))
    error = refuse(capsys, "eval", "parcel", "--agent", "noop", "--tasks", copied)
    assert str(file) in error and "upgrade veriloop" in error
    assert not (copied / "evals").exists()


def test_corrupt_ledger(capsys: pytest.CaptureFixture[str], copied: Path):
    ledger = copied / "ledger.sqlite"
    ledger.write_bytes(b"nonsense" * 500)
    before = sorted(copied.rglob("*"))
    same = ("synth", "parcel", "-n", 8, "--seed", 5, "--rounds", 0, "--no-evolve", "--out", copied, "--resume")
    for arguments in (same, ("export", copied, "--to", "messages"), ("report", copied)):
        error = refuse(capsys, *arguments)
        assert str(ledger) in error and "corrupt" in error and "start a new run" in error
    assert ledger.read_bytes() == b"nonsense" * 500
    assert sorted(copied.rglob("*")) == before


def test_run_of_a_newer_version(capsys: pytest.CaptureFixture[str], copied: Path):
    settings = copied / "run.toml"
    settings.write_text(settings.read_text().replace("version = 1", "version = 2"))
    assert "upgrade veriloop" in refuse(capsys, "export", copied, "--to", "turns")


def test_what_is_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    for arguments in (("export", tmp_path, "--to", "turns"), ("report", tmp_path)):
        assert "is no run" in refuse(capsys, *arguments)
    assert "no task files" in refuse(capsys, "eval", "parcel", "--agent", "noop", "--tasks", tmp_path)
    assert "there is no run" in refuse(capsys, "eval", "parcel", "--agent", "noop", "--tasks", tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_unknown_players(capsys: pytest.CaptureFixture[str], copied: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    cases = {"nopo": "did you mean 'noop'?", "scripted": "for the agent's seat", tmp_path / "empty": "holds no model",
             "openai:": "names no model"}  # fmt: skip
    for agent, problem in cases.items():
        assert problem in refuse(capsys, "eval", "parcel", "--agent", agent, "--tasks", copied)
    assert "for the user's seat" in refuse(
        capsys, "eval", "parcel", "--agent", "noop", "--user", "expert", "--tasks", copied
    )
    assert not (copied / "evals").exists()


def test_tasks_of_another_domain(capsys: pytest.CaptureFixture[str], copied: Path):
    pytest.importorskip("tau2")
    error = refuse(capsys, "eval", "tau2/retail", "--agent", "noop", "--tasks", copied)
    assert "of domain 'parcel', not 'tau2/retail'" in error


@pytest.mark.parametrize("to", ["csv", ""])
def test_unknown_format(capsys: pytest.CaptureFixture[str], copied: Path, to: str):
    assert "--to" in refuse(capsys, "export", copied, "--to", to)


def test_json_changes_nothing_about_errors(capsys: pytest.CaptureFixture[str], out: Path):
    assert "did you mean" in refuse(capsys, "synth", "parcle", "-n", 2, "--out", out, "--json")
