"""pass^k and bootstrap intervals over tasks.

pass^k = mean over tasks of C(c, k) / C(n, k), with c passes in n trials of a task: the chance that k trials drawn
without replacement all pass (tau-bench, arXiv 2406.12045). Void trials must be dropped by the caller.
"""

import math
import random
from collections.abc import Sequence

Trials = Sequence[Sequence[bool]]
"""One inner sequence per task, one bool per valid trial."""


def pass_hat(trials: Trials, k: int) -> float | None:
    """Return pass^k over the tasks with at least k trials, or None when there is none."""
    rates = [math.comb(sum(task), k) / math.comb(len(task), k) for task in trials if len(task) >= k]
    return sum(rates) / len(rates) if rates else None


def bootstrap_interval(
    per_task: Sequence[float], *, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean of `per_task`, resampling tasks; None when empty."""
    if not per_task:
        return None
    rng = random.Random(seed)
    count = len(per_task)
    means = sorted(sum(rng.choices(per_task, k=count)) / count for _ in range(draws))
    tail = (1 - level) / 2
    return means[int(tail * draws)], means[min(draws - 1, int((1 - tail) * draws))]


def cohen_kappa(both: int, first: int, second: int, neither: int) -> float | None:
    """Return Cohen's kappa of two who say yes or no to the same things: 1 for the same answers, 0 for chance.

    both, first, second, neither: how often so many of them said yes. None where chance alone would make them agree.
    """
    count = both + first + second + neither
    if not count:
        return None
    chance = ((both + first) * (both + second) + (second + neither) * (first + neither)) / count**2
    return None if chance == 1 else ((both + neither) / count - chance) / (1 - chance)


def pass_hat_interval(trials: Trials, k: int, *, seed: int = 0) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of pass^k, resampling tasks."""
    rates = [math.comb(sum(task), k) / math.comb(len(task), k) for task in trials if len(task) >= k]
    return bootstrap_interval(rates, seed=seed)
