"""Plays groups of dialogues between the agent under training and a trained user, and hands them to GRPO as tokens."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.message import Seat
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import visible_turns
from veriloop.domains.task import Task
from veriloop.local.model import LoadedModel
from veriloop.local.player import LocalPlayer
from veriloop.rollout.driver import play_batch
from veriloop.rollout.episode import Episode, Limits
from veriloop.rollout.player import Player
from veriloop.train.curriculum import TaskOrder
from veriloop.train.data import make_renderer, view_system
from veriloop.train.filter import Group, Kept, fill

Score = Callable[[Task, Trace], Verdict]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One dialogue as the agent's tokens.

    prompt: ids before the agent's first own token. completion: all ids from there to its last. mask: 1 on its own.
    logprobs: of each own token when it was sampled, 0 elsewhere; mask and logprobs are as long as the completion.
    """

    prompt: list[int]
    completion: list[int]
    mask: list[int]
    logprobs: list[float]
    trace: Trace


@dataclass(frozen=True, slots=True)
class GroupShape:
    """How many groups of how many trajectories make a step, and how many groups may be sampled to fill it."""

    groups: int
    size: int
    cap: int
    filtering: bool = True


class Arena:
    """Where the agent under training meets the user: tasks, players, reward."""

    def __init__(
        self,
        domain: Domain,
        tasks: Sequence[Task],
        agent: LoadedModel,
        players: Mapping[Seat, Player],
        score: Score,
        *,
        limits: Limits,
    ) -> None:
        self.domain, self.limits = domain, limits
        self._tasks = {task.id: task for task in tasks}
        self._agent, self._players, self._score = agent, players, score
        self._renderers = {alone: make_renderer(agent, domain, "agent", alone=alone) for alone in (False, True)}

    def forget(self) -> None:
        """Drop the agent's caches; its weights have changed."""
        for player in self._players.values():
            if isinstance(player, LocalPlayer):
                player.forget()

    def sample(self, names: Sequence[str], size: int, seed: int) -> list[Group[Trajectory]]:
        """Play a group of `size` dialogues for each task, all in one batch."""
        episodes = [
            Episode(self.domain, self._tasks[name], seed=derive_seed("group", seed, place, number), limits=self.limits)
            for place, name in enumerate(names)
            for number in range(size)
        ]
        traces = dict(play_batch(episodes, self._players, width=max(1, len(episodes))))
        ordered = [traces[position] for position in range(len(episodes))]
        return [self._group(name, ordered[place * size : (place + 1) * size]) for place, name in enumerate(names)]

    def _group(self, name: str, traces: Sequence[Trace]) -> Group[Trajectory]:
        task = self._tasks[name]
        trajectories = [self._tokens(task, trace) for trace in traces]
        rewards = [
            reward_of(trace, self._score(task, trace)) if trajectory.completion else None
            for trace, trajectory in zip(traces, trajectories, strict=True)
        ]
        return Group(name, tuple(trajectories), tuple(rewards))

    def _tokens(self, task: Task, trace: Trace) -> Trajectory:
        """Render a dialogue with the exact ids that were sampled."""
        system = view_system(self._agent.settings, self.domain, task, "agent")
        turns = visible_turns(trace.turns, "agent")
        rendered = self._renderers[task.initial.ticket is not None].render(system, turns)
        own = [turn for number, turn in enumerate(turns) if turn.seat == "agent" and number]
        # A turn that was not sampled (the context was full) is no work of the weights: neither ids nor loss.
        pairs = [
            (span, turn.sampled) for span, turn in zip(rendered.spans, own, strict=True) if turn.sampled is not None
        ]
        if not pairs:
            return Trajectory(rendered.ids, [], [], [], trace)
        start, end = pairs[0][0][0], pairs[-1][0][1]
        mask, logprobs = [0] * len(rendered.ids), [0.0] * len(rendered.ids)
        for (first, last), sample in pairs:
            mask[first:last] = [1] * (last - first)
            logprobs[first:last] = sample.logprobs
        return Trajectory(rendered.ids[:start], rendered.ids[start:end], mask[start:end], logprobs[start:end], trace)


def reward_of(trace: Trace, verdict: Verdict) -> float | None:
    """Return 1 for a pass, 0 for a failure, None where the agent is not to blame.

    None: the dialogue is void, the checker broke, or the user's model produced something that is no message. Limits
    that were reached count as failures.
    """
    if trace.void or verdict.outcome is Outcome.ERROR:
        return None
    if trace.stop is StopReason.MALFORMED and (trace.error or "").startswith("user:"):
        return None
    return float(verdict.passed)


class Rollout:
    """TRL's `rollout_func`: fills a step with groups that carry a signal; the rest of its places carry no loss."""

    def __init__(self, arena: Arena, order: TaskOrder, shape: GroupShape, pad: int, seed: int) -> None:
        self.arena, self.order, self._shape, self._pad, self._seed = arena, order, shape, pad, seed
        self.steps = 0
        self.empty = False
        self.metrics: dict[str, float] = {}

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, list[Any]]:
        """Return prompt_ids, completion_ids, logprobs, env_mask and reward, one entry per prompt, grouped by task."""
        groups, size = len(prompts) // self._shape.size, self._shape.size
        seed = derive_seed("step", self._seed, trainer.state.global_step, self.steps)
        self.steps += 1
        self.arena.forget()
        kept = self._collect(groups, size, seed)
        self.empty = not kept.groups
        self.metrics = measure_groups(kept)
        return self._pack(kept.groups, groups * size)

    def _collect(self, groups: int, size: int, seed: int) -> Kept[Trajectory]:
        seen: list[Group[Trajectory]] = []

        def sample(names: Sequence[str]) -> list[Group[Trajectory]]:
            played = self.arena.sample(names, size, derive_seed("refill", seed, len(seen)))
            seen.extend(played)
            for group in played:
                self.order.record(group.task, group.mean)
            return played

        if self._shape.filtering:
            kept = fill(groups, sample, self.order, cap=self._shape.cap)
        else:
            kept = Kept(groups=sample([next(self.order) for _ in range(groups)]), sampled=groups)
        return kept

    def _pack(self, groups: Sequence[Group[Trajectory]], places: int) -> dict[str, list[Any]]:
        packed: dict[str, list[Any]] = {
            "prompt_ids": [], "completion_ids": [], "logprobs": [], "env_mask": [], "reward": [],
        }  # fmt: skip
        for group in groups:
            for trajectory, reward in zip(group.trajectories, group.rewards, strict=True):
                self._put(packed, trajectory, reward)
        while len(packed["reward"]) < places:
            self._put(packed, None, None)
        return packed

    def _put(self, packed: dict[str, list[Any]], trajectory: Trajectory | None, reward: float | None) -> None:
        """Add one place; without trajectory or reward it is a single masked token."""
        if trajectory is None or reward is None:
            entry = ([self._pad], [self._pad], [0.0], [0])
        else:
            entry = (trajectory.prompt, trajectory.completion, trajectory.logprobs, trajectory.mask)
        for key, value in zip(("prompt_ids", "completion_ids", "logprobs", "env_mask"), entry, strict=True):
            packed[key].append(value)
        packed["reward"].append(reward)


def measure_groups(kept: Kept[Trajectory]) -> dict[str, float]:
    """Return what a step's kept groups show, per trajectory; `reward_sampled` counts dropped groups too."""
    trajectories = [trajectory for group in kept.groups for trajectory in group.trajectories]
    rewards = [reward for group in kept.groups for reward in group.rewards if reward is not None]
    voids = sum(reward is None for group in kept.groups for reward in group.rewards)
    count = max(1, len(trajectories))
    passed = sum(group.mean or 0.0 for group in kept.groups) + kept.all_passed
    judged = len(kept.groups) + kept.all_passed + kept.all_failed
    stops = Counter(trajectory.trace.stop.value for trajectory in trajectories)
    return {
        "reward_kept": sum(rewards) / len(rewards) if rewards else 0.0,
        "reward_sampled": passed / judged if judged else 0.0,
        "groups_kept": len(kept.groups),
        "groups_sampled": kept.sampled,
        "groups_all_passed": kept.all_passed,
        "groups_all_failed": kept.all_failed,
        "void_trajectories": voids,
        "agent_tokens": sum(
            sum(trajectory.mask)
            for group in kept.groups
            for trajectory, reward in zip(group.trajectories, group.rewards, strict=True)
            if reward is not None
        ),
        "turns": sum(len(trajectory.trace.turns) for trajectory in trajectories) / count,
        **{f"stop_{reason}": stops[reason] / count for reason in sorted(stops)},
    }
