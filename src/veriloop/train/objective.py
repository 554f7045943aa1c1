"""Which loss GRPO takes, by name. The advantage is always a whole trajectory's; what differs is how tokens count."""

from typing import Any, Literal

Objective = Literal["dapo", "dr_grpo", "gspo"]

LONGEST = 2048
"""Tokens by which `dr_grpo` divides; a constant, so that any will do as long as the learning rate goes with it."""


def trl_settings(objective: Objective, clip: tuple[float, float]) -> dict[str, Any]:
    """Return an objective in TRL's terms.

    clip: how far the ratio of new to old probability may fall below and rise above 1 before it stops pulling.

    dapo: the mean over all own tokens of a step, so that a trajectory counts as much as it has tokens, and clipping
    that leaves more room upwards (arXiv 2503.14476, sections 3.1 and 3.3).
    dr_grpo: the sum over tokens by a constant, so that a token counts the same however long the others of the step are
    (arXiv 2503.20783, section 3.2).
    gspo: one ratio for a whole trajectory, the geometric mean of its tokens', and the mean over trajectories
    (arXiv 2507.18071, section 4.1). Its ratios hardly leave 1, so it clips at a thousandth of what is told.
    """
    low, high = clip
    if objective == "gspo":
        settings = {"loss_type": "grpo", "importance_sampling_level": "sequence"}
        return {**settings, "epsilon": low / 1000, "epsilon_high": high / 1000}
    longest = {"max_completion_length": LONGEST} if objective == "dr_grpo" else {"max_completion_length": None}
    return {"loss_type": objective, "epsilon": low, "epsilon_high": high, **longest}
