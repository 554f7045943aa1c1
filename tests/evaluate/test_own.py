"""Own evaluation: figures, resume after a kill, void dialogues, both drivers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers import faulty
from servers.faulty import FaultyServer
from servers.http import completion
from veriloop.core.errors import InputError, PlayerError
from veriloop.core.message import Message
from veriloop.core.metric import pass_hat
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Initial, Request, Task, UserScenario
from veriloop.evaluate.own import EvalConfig, evaluate_tasks, summarise, trial_seed
from veriloop.evaluate.record import Record, Score
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry
from veriloop.rollout.baseline import Noop, RandomCaller
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.rollout.player import View
from veriloop.rollout.scripted import ScriptedUser

DOMAIN = load_parcel()


def make_task(number: int) -> Task:
    wish = Request(topic=f"get help with parcel number {number}")
    user = UserScenario(
        persona="terse",
        reason_for_call=wish.topic,
        known_info="",
        unknown_info="",
        task_instructions="",
        requests=(wish,),
    )
    return Task(domain="parcel", initial=Initial(database=f"test-{number % 2}"), user=user, gold=())


TASKS = [make_task(number) for number in range(3)]
PLAYERS: dict[Any, Any] = {"agent": RandomCaller(), "user": ScriptedUser()}


def judge_by_seed(task: Task, trace: Trace) -> Verdict:
    return Verdict(outcome=Outcome.PASS if trace.seed % 3 else Outcome.FAIL, reason="by seed")


def evaluate(out: Path | None = None, tasks: Sequence[Task] = TASKS, **options: Any) -> dict[str, Any]:
    players = options.pop("players", PLAYERS)
    score = options.pop("score", judge_by_seed)
    progress = options.pop("progress", None)
    return evaluate_tasks(DOMAIN, tasks, players, EvalConfig(**options), score=score, out=out, progress=progress)


def test_summary_agrees_with_the_verdicts() -> None:
    seen: list[tuple[int, int]] = []
    result = evaluate(trials=3, progress=lambda done, total: seen.append((done, total)))
    config = EvalConfig(trials=3)
    expected = {task.id: [trial_seed(config, task.id, n) % 3 != 0 for n in range(3)] for task in TASKS}
    assert result["per_task"] == expected
    assert result["pass_hat"] == {str(k): pass_hat(list(expected.values()), k) for k in (1, 2, 3)}
    assert result["passed"] == sum(map(sum, expected.values()))
    assert (result["tasks"], result["trials"], result["counted"], result["void"]) == (3, 3, 9, 0)
    assert (result["domain"], result["agent"], result["user"], result["official"]) == (
        "parcel",
        "random",
        "scripted",
        False,
    )
    assert sum(result["stops"].values()) == 9
    assert all(low <= result["pass_hat"][k] <= high for k, (low, high) in result["interval_95"].items())
    assert seen == [(n, 9) for n in range(1, 10)]
    json.dumps(result, allow_nan=False)


def test_dialogues_depend_on_the_seed_alone(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name / "a.json" for name in ("x", "y", "z"))
    evaluate(first, width=1)
    evaluate(second, width=16)
    evaluate(other, seed=1)
    assert first.with_suffix(".jsonl").read_bytes() == second.with_suffix(".jsonl").read_bytes()
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".jsonl").read_bytes() != other.with_suffix(".jsonl").read_bytes()


def test_lines_hold_place_verdict_and_trace(tmp_path: Path) -> None:
    evaluate(tmp_path / "a.json", trials=2)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(line["task_id"], line["trial"]) for line in lines] == [(task.id, n) for task in TASKS for n in (0, 1)]
    traces = [Trace.model_validate(line["trace"]) for line in lines]
    assert all(trace.players == {"agent": "random", "user": "scripted"} for trace in traces)
    assert all(Verdict.model_validate(line["verdict"]).reason == "by seed" for line in lines)


class Counting(RandomCaller):
    """Counts its dialogues by their views' keys."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def reply(self, views: Sequence[View]) -> list[Message]:
        self.keys |= {view.key for view in views}
        return super().reply(views)


@settings(deadline=None, max_examples=25)
@given(keep=st.integers(0, 6), cut=st.integers(0, 50))
def test_resume_plays_only_what_is_missing(tmp_path_factory: pytest.TempPathFactory, keep: int, cut: int) -> None:
    folder = tmp_path_factory.mktemp("resume")
    evaluate(folder / "a.json", trials=2)
    lines = (folder / "a.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "b.jsonl").write_bytes(b"".join(lines[:keep]) + b"".join(lines[keep:])[:cut])
    agent = Counting()
    evaluate(folder / "b.json", trials=2, players={"agent": agent, "user": ScriptedUser()})
    assert len(agent.keys) <= 6 - keep
    for name in ("json", "jsonl"):
        assert (folder / f"b.{name}").read_bytes() == (folder / f"a.{name}").read_bytes()


def test_killed_evaluation_goes_on(tmp_path: Path) -> None:
    """A child process is killed with -9 while dialogues end one by one."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_own\n"
        "def slow(task, trace):\n    time.sleep(0.05)\n    return test_own.judge_by_seed(task, trace)\n"
        "test_own.evaluate(Path(sys.argv[2]), trials=8, score=slow)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "a.json")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
    )
    lines = tmp_path / "a.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (lines.exists() and lines.read_bytes().count(b"\n") >= 3):
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    assert 3 <= lines.read_bytes().count(b"\n") < 24
    assert not (tmp_path / "a.json").exists()
    evaluate(tmp_path / "a.json", trials=8)
    evaluate(tmp_path / "b.json", trials=8)
    for name in ("json", "jsonl"):
        assert (tmp_path / f"a.{name}").read_bytes() == (tmp_path / f"b.{name}").read_bytes()


@pytest.mark.parametrize(
    "options",
    [{"seed": 9}, {"trials": 1}, {"tasks": TASKS[:2]}, {"players": {"agent": Noop(), "user": ScriptedUser()}}],
)
def test_file_of_another_evaluation_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    evaluate(tmp_path / "a.json", trials=2)
    before = (tmp_path / "a.jsonl").read_bytes()
    with pytest.raises(InputError, match="holds another evaluation"):
        evaluate(tmp_path / "a.json", **{"trials": 2, **options})
    assert (tmp_path / "a.jsonl").read_bytes() == before


def test_more_trials_may_be_added(tmp_path: Path) -> None:
    evaluate(tmp_path / "a.json", trials=2)
    evaluate(tmp_path / "a.json", trials=4)
    evaluate(tmp_path / "b.json", trials=4)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"task_id": 1}\n')
    with pytest.raises(InputError, match="line 1"):
        evaluate(tmp_path / "a.json")


def test_tasks_must_be_some_distinct_and_of_the_domain() -> None:
    foreign = TASKS[0].model_copy(update={"domain": "other"})
    for tasks, said in [([], "no tasks"), ([TASKS[0]] * 2, "more than once"), ([foreign], "of domain 'other'")]:
        with pytest.raises(InputError, match=said):
            evaluate(tasks=tasks)
    with pytest.raises(InputError, match="at least 1"):
        evaluate(trials=0)


class Flaky:
    """An agent whose first answer in some episodes is an outage; heals when told."""

    name = "flaky"

    def __init__(self) -> None:
        self.broken = True

    async def reply_async(self, view: View) -> Message:
        if self.broken and view.seed % 2:
            raise PlayerError("endpoint down")
        return Message(content="Anything else?")


def test_void_dialogues_count_in_nothing_and_are_played_again(tmp_path: Path) -> None:
    agent = Flaky()
    players = {"agent": agent, "user": ScriptedUser()}
    result = evaluate(tmp_path / "a.json", trials=4, players=players)
    config = EvalConfig(trials=4)
    void = sum(trial_seed(config, task.id, n) % 2 for task in TASKS for n in range(4))
    assert 0 < void < 12
    assert (result["void"], result["counted"]) == (void, 12 - void)
    assert result["stops"][StopReason.PLAYER_ERROR] == void
    assert sum(map(len, result["per_task"].values())) == 12 - void
    agent.broken = False
    healed = evaluate(tmp_path / "a.json", trials=4, players=players)
    assert (healed["void"], healed["counted"]) == (0, 12)
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 12


def test_broken_checkers_do_not_count_against_the_agent() -> None:
    def score(task: Task, trace: Trace) -> Verdict:
        return Verdict(outcome=Outcome.ERROR, reason="boom") if task is TASKS[0] else judge_by_seed(task, trace)

    result = evaluate(trials=2, score=score)
    assert result["checker_errors"] == 2
    assert result["per_task"][TASKS[0].id] == []
    assert result["counted"] == 4
    assert result["void"] == 0


def test_nothing_counted_gives_no_figure() -> None:
    scores = {("a", 0): Score(None, StopReason.PLAYER_ERROR, None)}
    result = summarise("d", {"agent": "x", "user": "y"}, scores, [("a", 0)], EvalConfig(trials=1))
    assert (result["pass_hat"], result["interval_95"], result["passed"]) == ({}, {}, 0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_figures_are_pass_hat_of_per_task(trials: list[list[bool]]) -> None:
    places = [(str(number), trial) for number in range(len(trials)) for trial in range(3)]
    stop = StopReason.USER_STOP
    scores = {
        (name, n): Score(trials[int(name)][n], stop, Outcome.PASS if trials[int(name)][n] else Outcome.FAIL)
        for name, n in places
    }
    result = summarise("d", {"agent": "x", "user": "y"}, scores, places, EvalConfig(trials=3))
    assert result["pass_hat"]["1"] == pytest.approx(sum(map(sum, trials)) / len(places))
    assert list(result["per_task"].values()) == trials


def test_agent_behind_an_endpoint(tmp_path: Path) -> None:
    with FaultyServer(faulty.status(500), good=completion({"content": "Anything else?"})) as server:
        client = Client(Endpoint("m", server.base_url, retry=Retry(base=0.01)))
        players = {"agent": EndpointPlayer("m", client=client), "user": ScriptedUser()}
        result = evaluate(tmp_path / "a.json", trials=2, players=players)
    assert (result["agent"], result["counted"], result["stops"]) == ("openai:m", 6, {"user_stop": 6})
    assert client.spent.repeated == 1
    assert len(Record(tmp_path / "a.jsonl").load()) == 6


def test_refused_key_keeps_what_was_played(tmp_path: Path) -> None:
    good = [faulty.say({"content": "Anything else?"})] * 3
    with FaultyServer(*good, *[faulty.status(401)] * 20) as server:
        players = {"agent": EndpointPlayer("m", client=Client(Endpoint("m", server.base_url))), "user": ScriptedUser()}
        with pytest.raises(InputError, match="HTTP 401"):
            evaluate(tmp_path / "a.json", trials=2, width=1, players=players)
    assert len(Record(tmp_path / "a.jsonl").load()) == 3
    assert not (tmp_path / "a.json").exists()
