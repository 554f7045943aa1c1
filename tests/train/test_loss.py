"""What GRPO's loss sees: the trainer's own numbers beside those of the rollout."""

from pathlib import Path
from typing import Any

import pytest
import torch

from veriloop.core.message import Message
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.local.player import LocalPlayer
from veriloop.train import grpo
from veriloop.train.grpo import RlConfig, train_rl
from veriloop.train.objective import LONGEST, Objective, trl_settings

ONE_STEP = RlConfig(steps=1, groups=2, size=4, cap=8, micro_batch=8, validate_every=0, turns=7)
answers_of_the_model = LocalPlayer.advance


def play(self: LocalPlayer) -> list[tuple[int, Message]]:
    """The user says one line for ever; what the untrained agent babbles is heard as plain text."""
    if self.seat == "user":
        asked, self._asked = self._asked, {}
        return [(ticket, Message(content="Where is my parcel?")) for ticket in asked]
    return [
        (ticket, message.model_copy(update={"malformed": None, "content": message.content or "hm", "tool_calls": ()}))
        for ticket, message in answers_of_the_model(self)
    ]


def by_seed(task: Task, trace: Trace) -> Verdict:
    return Verdict(outcome=Outcome.PASS if trace.seed % 2 else Outcome.FAIL, reason="")


class Seen:
    """One step: what the rollout handed over, TRL's batch, what the loss got of it, log-probabilities found there."""

    def __init__(self, loss: Objective) -> None:
        self.loss: Objective = loss
        self.packed: dict[str, list[Any]] = {}
        self.batch: dict[str, torch.Tensor] = {}
        self.inputs: dict[str, torch.Tensor] = {}
        self.logps: list[torch.Tensor] = []

    def order(self) -> list[int]:
        """Return the rollout's place of each row of the loss; TRL shuffles them."""
        places = {tuple(ids): place for place, ids in enumerate(self.packed["completion_ids"])}
        assert len(places) == len(self.packed["completion_ids"])
        ids, lengths = self.inputs["completion_ids"], self.inputs["completion_mask"].sum(dim=1).tolist()
        return [places[tuple(row[:length].tolist())] for row, length in zip(ids, lengths, strict=True)]


@pytest.fixture(scope="module", params=["dapo", "dr_grpo", "gspo"])
def seen(
    request: pytest.FixtureRequest,
    parcel: Domain,
    tasks: list[Task],
    agent_folder: Path,
    user_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Seen:
    seen = Seen(request.param)
    pack, generate = grpo.Rollout.__call__, grpo.GRPOTrainer._generate_and_score_completions
    measure, lose = grpo.GRPOTrainer._get_per_token_logps_and_entropies, grpo.GRPOTrainer._compute_loss

    def spy_pack(self: Any, prompts: Any, trainer: Any) -> Any:
        seen.packed = pack(self, prompts, trainer)
        return seen.packed

    def spy_generate(self: Any, inputs: Any) -> Any:
        seen.batch = generate(self, inputs)
        return seen.batch

    def spy_measure(self: Any, *args: Any, **options: Any) -> Any:
        logps, *rest = measure(self, *args, **options)
        if logps.requires_grad:
            logps.retain_grad()
            seen.logps.append(logps)
        return logps, *rest

    def spy_lose(self: Any, model: Any, inputs: Any) -> Any:
        seen.inputs = inputs
        return lose(self, model, inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalPlayer, "advance", play)
        patch.setattr(grpo.Rollout, "__call__", spy_pack)
        patch.setattr(grpo.GRPOTrainer, "_generate_and_score_completions", spy_generate)
        patch.setattr(grpo.GRPOTrainer, "_get_per_token_logps_and_entropies", spy_measure)
        patch.setattr(grpo.GRPOTrainer, "_compute_loss", spy_lose)
        out = tmp_path_factory.mktemp("models") / "rl"
        config = ONE_STEP.model_copy(update={"loss": seen.loss})
        train_rl(parcel, (tasks, []), (agent_folder, user_folder), out, config, score=by_seed)
    return seen


def test_the_batch_holds_the_rollouts_ids_and_masks(seen: Seen):
    masks = seen.packed["env_mask"]
    for place, (ids, mask) in enumerate(zip(seen.packed["completion_ids"], masks, strict=True)):
        assert seen.batch["completion_ids"][place, : len(ids)].tolist() == ids
        assert seen.batch["tool_mask"][place, : len(ids)].tolist() == mask
        assert int(seen.batch["completion_mask"][place].sum()) == len(ids)
    assert any(0 in mask and 1 in mask for mask in masks), "no dialogue with a user's turn inside"


def test_the_sampler_and_the_trainer_agree_on_every_sampled_token(seen: Seen):
    (logps,) = seen.logps
    for row, place in zip(logps.tolist(), seen.order(), strict=True):
        own = [number for number, bit in enumerate(seen.packed["env_mask"][place]) if bit]
        sampled = seen.packed["logprobs"][place]
        assert [row[number] for number in own] == pytest.approx([sampled[number] for number in own], abs=1e-3)


def test_only_the_agents_own_tokens_get_a_gradient_of_their_advantage(seen: Seen):
    (logps,) = seen.logps
    assert logps.grad is not None
    masks, advantages = seen.packed["env_mask"], seen.batch["advantages"].tolist()
    total = sum(map(sum, masks))
    assert total > 8 and len(set(advantages)) > 1
    for row, place in zip(logps.grad.tolist(), seen.order(), strict=True):
        # At ratio 1 each own token pulls with its trajectory's advantage; users, tools and padding do not.
        mask = masks[place] + [0] * (len(row) - len(masks[place]))
        shares = {"dapo": total, "dr_grpo": len(masks) * LONGEST, "gspo": len(masks) * max(1, sum(mask))}
        wanted = [-advantages[place] * bit / shares[seen.loss] for bit in mask]
        assert row == pytest.approx(wanted, abs=1e-7, rel=1e-4)


def test_the_ratio_of_a_trajectory_is_clipped_closer_than_that_of_a_token():
    assert trl_settings("dapo", (0.2, 0.28))["epsilon_high"] == 0.28
    assert trl_settings("gspo", (0.2, 0.28))["epsilon_high"] == pytest.approx(2.8e-4)


@pytest.mark.parametrize("loss", ["dapo", "dr_grpo", "gspo"])
def test_a_step_of_8_groups_of_64_in_pieces_has_the_gradient_of_one_batch(
    loss: Objective,
    parcel: Domain,
    tasks: list[Task],
    agent_folder: Path,
    user_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    found: list[list[torch.Tensor]] = []

    def keep(self: Any, args: Any, state: Any, control: Any, **given: Any) -> None:
        weights = given["model"].parameters()
        found.append([weight.grad.clone() for weight in weights if weight.grad is not None])

    monkeypatch.setattr(LocalPlayer, "advance", play)
    monkeypatch.setattr(grpo._Keeper, "on_pre_optimizer_step", keep)
    whole = RlConfig(
        steps=1, groups=8, size=64, cap=8, micro_batch=512, validate_every=0, turns=3, filtering=False, loss=loss
    )
    for pieces in (1, 32):
        config = whole.model_copy(update={"micro_batch": 512 // pieces})
        out = tmp_path / str(pieces)
        train_rl(parcel, (tasks, []), (agent_folder, user_folder), out, config, score=by_seed)
    one, many = found
    size = max(float(weight.abs().max()) for weight in one)
    assert size > 0
    for weight, other in zip(one, many, strict=True):
        assert torch.allclose(weight, other, atol=1e-4 * size)
