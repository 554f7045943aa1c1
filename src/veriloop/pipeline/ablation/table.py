"""The arms of an ablation beside each other: pass^1 on the same tasks, and paired differences to one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from veriloop.core.metric import bootstrap_interval

Evals = Mapping[str, Mapping[str, Any]]
"""An evaluation's summary by arm."""


def compare_arms(evals: Evals, base: str, *, seed: int = 0) -> dict[str, Any]:
    """Return pass^k of every arm and its difference to the arm `base`, with 95 % bootstrap intervals over tasks.

    The difference of an arm is under `minus_BASE`, its name with underscores; None without a task that both counted.
    """
    row: dict[str, Any] = {"tasks": len(_rates(evals[base]))}
    name = f"minus_{base.replace('-', '_')}"
    for arm, found in evals.items():
        row[arm] = {key: found[key] for key in ("pass_hat", "interval_95")}
        if arm != base:
            differences = list(_subtract(found, evals[base]).values())
            row[arm][name] = sum(differences) / len(differences) if differences else None
            row[arm][f"{name}_interval_95"] = bootstrap_interval(differences, seed=seed)
    return row


def pool_seeds(seeds: Sequence[Evals], base: str) -> dict[str, dict[str, Any]]:
    """Return the mean difference of every arm to `base` over seeds with the same tasks.

    A task's differences are averaged over the seeds before tasks are resampled, so the interval is about other tasks;
    `by_seed`, the differences themselves, says how much another training would change.
    """
    pooled = dict[str, dict[str, Any]]()
    for arm in seeds[0]:
        if arm == base:
            continue
        gaps = [_subtract(evals[arm], evals[base]) for evals in seeds]
        shared = [task for task in gaps[0] if all(task in gap for gap in gaps)]
        means = [sum(gap[task] for gap in gaps) / len(gaps) for task in shared]
        pooled[arm] = {
            "mean": sum(means) / len(means) if means else None,
            "interval_95": bootstrap_interval(means),
            "by_seed": [sum(gap.values()) / len(gap) if gap else None for gap in gaps],
        }
    return pooled


def _subtract(found: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, float]:
    ours, theirs = _rates(found), _rates(base)
    return {task: ours[task] - theirs[task] for task in theirs if task in ours}


def _rates(found: Mapping[str, Any]) -> dict[str, float]:
    return {task: sum(trials) / len(trials) for task, trials in found["per_task"].items() if trials}
