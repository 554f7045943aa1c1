"""Official evaluation: tau2's own tasks, orchestrator and evaluator, with our players in the seats.

The only place that opens the package's task files. What counts is the package's reward; our sessions replay every
dialogue beside it, so that a trace of ours with its changes is kept and a difference between the two is noticed.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from veriloop.evaluate.official_package import (  # first: it quiets tau2 before that is imported
    SEATS,
    AgentError,
    UserError,
    evaluate,
    name_package,
)
from veriloop.evaluate.official_seat import (
    NoUser,
    PlayerAgent,
    PlayerUser,
    SoloAgent,
    read_call,
    read_turns,
    write_messages,
)

# isort: split
from tau2.data_model.simulation import AgentInfo, Info, Results, RewardInfo, SimulationRun, TerminationReason, UserInfo
from tau2.data_model.tasks import Task as Tau2Task
from tau2.orchestrator.orchestrator import Orchestrator
from tau2.registry import registry
from tau2.utils.utils import DATA_DIR, get_now

from veriloop.core.base import canonical_json, content_hash, derive_seed
from veriloop.core.errors import InputError, PlayerError
from veriloop.core.message import Seat, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import find_owner, find_place, is_alone, open_alone, seat_tools
from veriloop.domains.task import Fact, Initial, Request, SeatCall, Task, UserScenario
from veriloop.evaluate.adapter import Chair, GatheringPlayer
from veriloop.evaluate.own import EvalConfig, Progress, summarise
from veriloop.evaluate.record import Place, Played, Record, score_of
from veriloop.rollout.episode import STOP_TOKENS
from veriloop.rollout.first_person import speak, speak_wish
from veriloop.rollout.player import Player
from veriloop.store.file import write_json, write_lines
from veriloop.store.tau2 import find_data, to_tau2_task

_KNOWN, _TELLS = "information I have", ("The {label}: {text}", "This is the {label}: {text}")
"""What a user of the package's knows is one thing to tell, in whole sentences."""
NOBODY = "nobody"
"""The user's name where an agent works alone."""
_STOPS = {
    TerminationReason.MAX_STEPS: StopReason.MAX_TURNS,
    TerminationReason.TOO_MANY_ERRORS: StopReason.MAX_ERRORS,
    TerminationReason.AGENT_ERROR: StopReason.MALFORMED,
    TerminationReason.USER_ERROR: StopReason.MALFORMED,
}


@dataclass(frozen=True, slots=True)
class OfficialTask:
    """A task in both forms. `id` is tau2's; for a task of ours it is the content hash."""

    id: str
    task: Task
    official: Any
    """tau2's `Task`."""


@dataclass(frozen=True, slots=True)
class OfficialConfig:
    """How official dialogues are played. The limits are the package's defaults: steps of all seats, failed calls.

    solo: the agent works alone, with a ticket and the tools of both seats.
    """

    trials: int = 1
    threads: int = 1
    seed: int = 0
    max_steps: int = 200
    max_errors: int = 10
    solo: bool = False


# --- tasks ---------------------------------------------------------------------------------------------------------


def official_tasks(domain: Domain, split: str | None = "base") -> list[OfficialTask]:
    """Return the package's tasks of a split: `train` and `test` are parts of `base`; None for all there are."""
    try:
        found = registry.get_tasks_loader(package_name(domain))(split)
    except ValueError:
        raise InputError(f"{domain.name} has no official split {split!r}; use base, train or test") from None
    return [OfficialTask(task.id, from_tau2_task(domain, task), task) for task in found]


def wrap_tasks(domain: Domain, tasks: Sequence[Task]) -> list[OfficialTask]:
    """Return tasks of ours in the package's form."""
    forms = [to_tau2_task(task, find_data(domain, task)) for task in tasks]
    return [OfficialTask(task.id, task, Tau2Task.model_validate(form)) for task, form in zip(tasks, forms, strict=True)]


def package_name(domain: Domain) -> str:
    """Return the name by which the package knows a domain; raises InputError for a domain that is not its own."""
    name = domain.name.removeprefix("tau2/")
    if name == domain.name or name not in registry.get_domains():
        raise InputError(f"{domain.name!r} is no domain of tau2; it has tasks for tau2/retail and the like")
    return name


def from_tau2_task(domain: Domain, official: Any) -> Task:
    """Return one of the package's tasks as a task of ours, without checker: gold calls, what must be told, scenario.

    The reason for calling becomes the user's one request, in the first person, so that a scripted user can state it;
    what they know becomes one thing that they tell.
    """
    instructions, criteria = official.user_scenario.instructions, official.evaluation_criteria
    gold = [
        SeatCall(seat=SEATS[action.requestor], call=read_call(action.action_id, action.name, action.arguments))
        for action in criteria.actions or []
    ]
    known = (instructions.known_info or "").strip()
    user = UserScenario(
        persona=official.user_scenario.persona or "",
        reason_for_call=instructions.reason_for_call,
        known_info=instructions.known_info or "",
        unknown_info=instructions.unknown_info or "",
        task_instructions=instructions.task_instructions,
        identity=(Fact(label=_KNOWN, text=speak(known), value=known, forms=_TELLS),) if known else (),
        requests=(Request(topic=speak_wish(instructions.reason_for_call)),),
    )
    return Task(
        domain=domain.name,
        initial=_read_start(domain, official.initial_state),
        user=user,
        gold=tuple(gold),
        told=tuple(criteria.communicate_info or ()),
    )


def _read_start(domain: Domain, state: Any) -> Initial:
    """Return where a task of the package starts. Its ticket is for an agent who works alone: nobody reads it here."""
    actions = (state.initialization_actions or []) if state else []
    calls = [
        SeatCall(seat=SEATS[action.env_type], call=read_call(f"init_{place}", action.func_name, action.arguments))
        for place, action in enumerate(actions)
    ]
    database = getattr(domain, "official", "") or domain.database("test", 0)
    return Initial(database=database, calls=tuple(calls))


# --- runs ----------------------------------------------------------------------------------------------------------


def run_official(
    domain: Domain,
    tasks: Sequence[OfficialTask],
    players: Mapping[Seat, Player],
    config: OfficialConfig,
    *,
    out: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play every task `config.trials` times in the package's orchestrator and return the summary (see `own.summarise`).

    out: `evals/<name>.json`. Beside it go `<name>.jsonl` (our traces with the official verdict), `<name>.tau2.jsonl`
    (the package's simulations as they end) and `<name>.tau2.json` (its results file). What is there is not played
    again, unless it counts in nothing; raises InputError when it comes from other tasks, players or limits.
    """
    run = _Run(domain, {task.id: task for task in tasks}, players, config)
    places = run.places()
    settings = run.settings()
    record, simulations = Record(out.with_suffix(".jsonl")), _Lines(out.with_suffix(".tau2.jsonl"))
    _check_settings(out.with_suffix(".settings.json"), settings)
    kept = {(line.task_id, line.trial or 0): line for line in simulations.load()}
    played = {place: one for place, one in record.load().items() if place in kept or one.trace.void}
    counted = {place: score_of(one) for place, one in played.items() if place in set(places)}
    scores = {place: score for place, score in counted.items() if score.passed is not None}
    missing = [place for place in places if place not in scores]
    for simulation, one in run.play_all(missing):
        if simulation is not None:
            simulations.add(simulation)
        record.add(one)
        scores[one.task_id, one.trial] = score_of(one)
        if progress:
            progress(len(scores), len(places))
    record.settle(places)
    found = {(line.task_id, line.trial or 0): line for line in simulations.load()}
    run.save_results([found[place] for place in places if place in found], out.with_suffix(".tau2.json"))
    own = EvalConfig(trials=config.trials, seed=config.seed)
    summary = {**summarise(domain.name, run.names, scores, places, own), **settings, "official": True}
    write_json(out, summary)
    return summary


def digest_settings(
    domain: Domain, tasks: Sequence[OfficialTask], players: Mapping[Seat, Player], config: OfficialConfig
) -> str:
    """Return a short digest of all that an agent's figures depend on but the agent."""
    run = _Run(domain, {task.id: task for task in tasks}, players, config)
    return content_hash({**run.settings(), "agent": "", "trials": config.trials}, 8)


@dataclass(frozen=True, slots=True)
class _Run:
    """One official evaluation: what is played by whom."""

    domain: Domain
    tasks: Mapping[str, OfficialTask]
    players: Mapping[Seat, Player]
    config: OfficialConfig

    @property
    def names(self) -> dict[Seat, str]:
        return {seat: self.players[seat].name if seat in self.players else NOBODY for seat in ("agent", "user")}

    def places(self) -> list[Place]:
        if not self.tasks or self.config.trials < 1:
            raise InputError("an official evaluation needs at least one task and one trial")
        if self.config.solo and (without := [task.id for task in self.tasks.values() if not task.official.ticket]):
            raise InputError(f"task {without[0]!r} has no ticket for an agent that works alone; leave out --solo")
        return [(task_id, trial) for task_id in self.tasks for trial in range(self.config.trials)]

    def settings(self) -> dict[str, Any]:
        """Return what figures depend on and must be told with them."""
        return {
            "package": name_package(),
            "task_hash": content_hash([task.official.model_dump(mode="json") for task in self.tasks.values()]),
            "task_file_sha256": hash_task_file(self.domain),
            "user_model": self.names["user"],
            "agent": self.names["agent"],
            "seed": self.config.seed,
            "max_steps": self.config.max_steps,
            "max_errors": self.config.max_errors,
            "solo": self.config.solo,
        }

    def play_all(self, places: Sequence[Place]) -> Iterator[tuple[SimulationRun | None, Played]]:
        """Yield dialogues as they end; the orchestrator is sequential, so `threads` of it share each player."""
        gathering: dict[Seat, Player] = {seat: GatheringPlayer(player) for seat, player in self.players.items()}
        with ThreadPoolExecutor(self.config.threads) as pool:
            running: list[Future[Any]] = [pool.submit(self._play, place, gathering) for place in places]
            try:
                for done in as_completed(running):
                    yield done.result()
            finally:
                for waiting in running:
                    waiting.cancel()

    def _play(self, place: Place, players: Mapping[Seat, Player]) -> tuple[SimulationRun | None, Played]:
        task_id, trial = place
        task, seed = self.tasks[task_id], derive_seed("official", self.config.seed, task_id, trial)
        orchestrator = self._seat(task, trial, seed, players)
        try:
            simulation = orchestrator.run()
        except PlayerError as error:
            return None, Played(task_id=task_id, trial=trial, verdict=None, trace=self._void(task, seed, str(error)))
        except (AgentError, UserError) as error:
            reason = TerminationReason.USER_ERROR if isinstance(error, UserError) else TerminationReason.AGENT_ERROR
            simulation = _simulate(task.official, orchestrator.get_trajectory(), reason)
        simulation.trial, simulation.seed = trial, seed
        simulation.reward_info, verdict = self._judge(task, simulation)
        trace = read_trace(self.domain, task, simulation, self.names, seed)
        return simulation, Played(task_id=task_id, trial=trial, verdict=verdict, trace=trace)

    def _judge(self, task: OfficialTask, simulation: SimulationRun) -> tuple[RewardInfo | None, Verdict]:
        """Return the package's reward with what it comes to; an evaluator that breaks counts against nobody."""
        try:
            reward = _evaluate(self.domain, task, simulation, solo=self.config.solo)
        except ValueError as error:
            reason = " ".join(f"tau2's evaluator breaks: {error}".split())
            return None, Verdict(outcome=Outcome.ERROR, reason=reason)
        return reward, read_verdict(reward)

    def _seat(self, task: OfficialTask, trial: int, seed: int, players: Mapping[Seat, Player]) -> Orchestrator:
        name = package_name(self.domain)
        environment = registry.get_env_constructor(name)(**({"solo_mode": True} if self.config.solo else {}))
        key = f"{task.id}/{trial}/{seed}"
        chairs: dict[Seat, Chair] = {
            seat: Chair(self.domain, task.task, task.id, key, seed, player) for seat, player in players.items()
        }
        agent, user = (self._sit_alone if self.config.solo else _sit)(task, environment, chairs)
        return Orchestrator(
            domain=name,
            agent=agent,
            user=user,
            environment=environment,
            task=task.official,
            max_steps=self.config.max_steps,
            max_errors=self.config.max_errors,
            seed=seed,
            solo_mode=self.config.solo,
        )

    def _sit_alone(self, task: OfficialTask, environment: Any, chairs: Mapping[Seat, Chair]) -> tuple[Any, Any]:
        """Return the one who works alone and nobody, as the package's agent and user."""
        hands = seat_tools(self.domain, "agent", alone=True)
        chair = replace(chairs["agent"], system=environment.get_policy(), tools=hands)
        tools = [*environment.get_tools(), *environment.get_user_tools()]
        return SoloAgent(tools, environment.get_policy(), task.official, chair), NoUser()

    def _void(self, task: OfficialTask, seed: int, error: str) -> Trace:
        return Trace(
            domain=self.domain.name, task_id=task.id, players=self.names, seed=seed, turns=(), changes=(), digest="",
            stop=StopReason.PLAYER_ERROR, error=error,
        )  # fmt: skip

    def save_results(self, simulations: list[SimulationRun], path: Path) -> None:
        """Write the package's own results file."""
        environment = registry.get_env_constructor(package_name(self.domain))()
        info = Info(
            git_commit=self.settings()["package"],
            num_trials=self.config.trials,
            max_steps=self.config.max_steps,
            max_errors=self.config.max_errors,
            user_info=UserInfo(implementation=self.names["user"]),
            agent_info=AgentInfo(implementation=self.names["agent"]),
            environment_info=environment.get_info(),
            seed=self.config.seed,
        )
        Results(info=info, tasks=[task.official for task in self.tasks.values()], simulations=simulations).save(path)


class _Lines:
    """The package's simulations, one JSON line each; a line cut by a kill is left out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[SimulationRun]:
        lines = self._path.read_text(encoding="utf-8").split("\n")[:-1] if self._path.exists() else []
        if lines:
            write_lines(self._path, lines)
        return [SimulationRun.model_validate_json(line) for line in lines]

    def add(self, simulation: SimulationRun) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(canonical_json(simulation.model_dump(mode="json")) + "\n")


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Keep the settings beside the results; raise InputError when results of other settings are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    if changed := sorted(name for name in settings if old.get(name) != settings[name]):
        raise InputError(f"{str(path)!r} is of an evaluation with other {', '.join(changed)}; choose another name")
    write_json(path, settings)


def hash_task_file(domain: Domain) -> str:
    """Return the SHA-256 of the package's task file: figures on different files do not compare."""
    path = DATA_DIR / "tau2" / "domains" / package_name(domain) / "tasks.json"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def score_turns(domain: Domain, task: OfficialTask, turns: Sequence[Turn]) -> RewardInfo:
    """Return the package's reward for a dialogue of ours, which its evaluator re-executes call by call.

    Raises ValueError where the package answers otherwise than the dialogue says.
    """
    simulation = _simulate(task.official, write_messages(turns), TerminationReason.USER_STOP)
    return _evaluate(domain, task, simulation)


def _sit(task: OfficialTask, environment: Any, chairs: Mapping[Seat, Chair]) -> tuple[Any, Any]:
    agent = PlayerAgent(environment.get_tools(), environment.get_policy(), chairs["agent"])
    return agent, PlayerUser(str(task.official.user_scenario), chairs["user"])


def _evaluate(domain: Domain, task: OfficialTask, simulation: SimulationRun, *, solo: bool = False) -> RewardInfo:
    return evaluate(simulation, task.official, domain=package_name(domain), solo=solo)


def read_verdict(reward: RewardInfo) -> Verdict:
    """Return the official reward as a verdict: 1.0 passes, anything less fails."""
    parts = {key.value: value for key, value in (reward.reward_breakdown or {}).items()}
    note = (reward.info or {}).get("note", "")
    outcome = Outcome.PASS if reward.reward == 1.0 else Outcome.FAIL
    return Verdict(outcome=outcome, reason=f"official reward {reward.reward} {parts or note}")


def read_trace(
    domain: Domain, task: OfficialTask, simulation: SimulationRun, names: dict[Seat, str], seed: int
) -> Trace:
    """Return the package's simulation as a trace, its calls made once more in a session of ours for the changes.

    `error` says where our session answered otherwise than the package; that is a fault of ours.
    """
    session, turns, error = domain.open(task.task.initial), list[Turn](), None
    alone = names["user"] == NOBODY
    if alone:
        turns.append(open_alone(task.official.ticket))
    for turn, calls in read_turns(simulation.messages):
        seat = find_place(domain, turn) if alone else turn.seat
        results = [session.call(find_owner(domain, call) if alone else seat, call) for call in calls]
        for theirs, ours in zip(turn.results, results, strict=True):
            if (theirs.content, theirs.error) != (ours.content, ours.error):
                error = f"our session answers {ours.content!r} where the package answers {theirs.content!r}"
        turns.append(turn.model_copy(update={"seat": seat, "results": tuple(results)}))
    return Trace(
        domain=domain.name, task_id=task.id, players=names, seed=seed, turns=tuple(turns), changes=session.changes(),
        digest=session.digest(), stop=_read_stop(simulation, turns), error=error,
    )  # fmt: skip


def _read_stop(simulation: SimulationRun, turns: Sequence[Turn]) -> StopReason:
    if stop := _STOPS.get(simulation.termination_reason):
        return stop
    if is_alone(turns):
        return StopReason.AGENT_STOP
    last = turns[-1].content if turns else ""
    return next((reason for token, reason in STOP_TOKENS.items() if token in last), StopReason.USER_STOP)


def _simulate(official: Any, messages: list[Any], reason: TerminationReason) -> SimulationRun:
    now = get_now()
    return SimulationRun(
        id=f"{official.id}-{reason.value}", task_id=official.id, start_time=now, end_time=now, duration=0.0,
        termination_reason=reason, messages=messages,
    )  # fmt: skip
