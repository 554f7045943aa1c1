"""`veriloop eval`."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from veriloop.cli.output import Result, align_table, show_progress
from veriloop.evaluate.own import EvalConfig
from veriloop.pipeline.evaluation import (
    Contest,
    Endpoint,
    default_file,
    official_split,
    run_evaluation,
    run_official_evaluation,
)
from veriloop.rollout.episode import Limits


@Parameter(name="*")
@dataclass(frozen=True)
class Play:
    """How dialogues are played."""

    trials: Annotated[int, Parameter(validator=Number(gte=1))] = 4
    """Dialogues per task; pass^k is given for k up to this."""
    seed: int = 0
    """Every dialogue's seed comes from this one."""
    width: Annotated[int, Parameter(validator=Number(gte=1))] = 32
    """Dialogues at once."""
    max_steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None
    """Turns of both seats together before a dialogue is cut; by default 60, or more for long tasks; under tau2's
    orchestrator 200 steps, which count tool calls as well."""
    official: Annotated[bool, Parameter(negative="")] = False
    """Use tau2's own orchestrator and evaluator; implied by official tasks and by --solo."""
    solo: Annotated[bool, Parameter(negative="")] = False
    """The agent works alone, with a ticket and the tools of both seats; for domains whose tasks have tickets."""


@Parameter(name="*")
@dataclass(frozen=True)
class Served:
    """How models answer."""

    base_url: str | None = None
    """Where `openai:` players are served."""
    key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    max_tokens: int = 512
    """Tokens of one answer at most."""
    temperature: float | None = None
    """Of endpoints and model folders; by default their own."""


def eval_command(
    domain: str,
    *,
    agent: str,
    tasks: Path,
    user: str = "scripted",
    play: Play | None = None,
    served: Served | None = None,
    out: Path | None = None,
) -> Result:
    """Measure an agent: pass^k over a run's tasks, with 95 % intervals.

    Parameters
    ----------
    domain
        A name from `veriloop domains` or a path to a Python file.
    agent
        gold, oracle, expert, noop, transfer, random, openai:MODEL, or a model folder.
    tasks
        A run directory, a folder of task files, one task file, or official:base, official:train, official:test.
    user
        scripted, openai:MODEL, or a model folder.
    out
        The result file; by default it goes into the run's `evals` folder.
    """
    how, model = play or Play(), served or Served()
    endpoint = Endpoint(model.base_url, model.key_env, model.max_tokens, model.temperature)
    contest, officially = Contest(domain, agent, user, tasks), how.official or how.solo or bool(official_split(tasks))
    limits = Limits(turns=how.max_steps) if how.max_steps else None
    config = EvalConfig(trials=how.trials, width=how.width, seed=how.seed, limits=limits)
    evaluate = partial(run_official_evaluation, solo=how.solo) if officially else run_evaluation
    with show_progress(f"{agent} on {domain}") as progress:
        summary = evaluate(contest, config, endpoint=endpoint, out=out, progress=progress)
    file = out or default_file(contest, officially=officially)
    place = f"\nresults: {file}" if file else ""
    return Result(summary, f"{_describe(agent, summary)}{place}", 0 if summary["counted"] else 1)


def _describe(agent: str, summary: dict[str, Any]) -> str:
    played = summary["tasks"] * summary["trials"]
    if not summary["counted"]:
        why = f"{summary['void']} of {played} are void ({summary['void_reason']})"
        if summary["checker_errors"]:
            why += f", in {summary['checker_errors']} the checker broke"
        return f"no dialogue counts: {why}; the same line tries again"
    head = f"{summary['tasks']} tasks, {summary['trials']} dialogues each, against the user {summary['user']}"
    void = f"; {summary['void']} of {played} are void and count in nothing" if summary["void"] else ""
    floor = [f"{name} {value:.3f}" for name, value in summary.get("baselines", {}).items()]
    beside = f"\npass^1 of who knows nothing: {', '.join(floor)}" if floor else ""
    return f"{head}{void}\n{describe_scores({agent: summary})}{beside}"


def describe_scores(summaries: dict[str, dict[str, Any]]) -> str:
    """Return a table of pass^k with intervals, one row per agent."""
    ks = sorted({k for summary in summaries.values() for k in summary["pass_hat"]}, key=int)
    rows = [(name, *(_spell(summary, k) for k in ks)) for name, summary in summaries.items()]
    return align_table(("agent", *(f"pass^{k}" for k in ks)), rows)


def _spell(summary: dict[str, Any], k: str) -> str:
    if k not in summary["pass_hat"]:
        return "-"
    low, high = summary["interval_95"][k]
    return f"{summary['pass_hat'][k]:.3f} [{low:.3f}, {high:.3f}]"
