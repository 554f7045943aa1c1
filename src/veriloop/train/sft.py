"""Supervised fine-tuning of one seat on TRL's SFTTrainer, stopped at the minimum of the held-out loss."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from pydantic import Field
from transformers import EarlyStoppingCallback, PrinterCallback
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl.trainer.sft_config import SFTConfig as TrlSftConfig
from trl.trainer.sft_trainer import SFTTrainer

from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.local.model import LoadedModel, load_model, save_model
from veriloop.local.nano import SIZES
from veriloop.store.file import read_json
from veriloop.train.checkpoint import drop_checkpoints, find_checkpoint
from veriloop.train.data import Dialogue, Rows, TokenRow, make_rows, prepare_model, write_result
from veriloop.train.metrics import MetricsFile, TrainResult
from veriloop.train.process import first_alone, share_batch


class SftConfig(Frozen):
    """How a seat is fine-tuned.

    steps: at most so many optimizer steps. eval_every: steps between held-out losses. patience: held-out losses in a
    row without a new minimum after which training stops; 0 trains all steps and keeps the last weights. length: longer
    dialogues are dropped and counted. pretrain: steps on every token before that, for a model made from scratch only.
    ids_only: a model made from scratch reads figures, dates and names as they are (see `local/codec.py`).
    own_tokens: where it is not 0, as many steps as come nearest to so many of the seat's own tokens, whatever `steps`
    says; the last step of a pass over the rows may hold fewer of them.
    """

    steps: int = Field(default=2000, ge=1)
    ids_only: bool = False
    own_tokens: int = Field(default=0, ge=0)
    batch: int = Field(default=16, ge=1)
    learning_rate: float = 2e-3
    warmup: int = 20
    eval_every: int = Field(default=100, ge=1)
    patience: int = Field(default=3, ge=0)
    length: int = 1400
    schedule: str = "linear"
    pretrain: int = Field(default=0, ge=0)
    seed: int = 0


def train_sft(
    domain: Domain,
    seat: Seat,
    model: str | Path,
    data: tuple[Sequence[Dialogue], Sequence[Dialogue]],
    out: Path,
    config: SftConfig,
    progress: Callable[[int, int], None] | None = None,
) -> TrainResult:
    """Train `model` on the seat's tokens of the first of `data`, watch the loss on the second, save to `out`.

    A run that was killed goes on from its last checkpoint in `out`. Under `accelerate launch` each process learns from
    its part of each step's rows, and the first writes the files.
    """
    start = time.monotonic()
    train, held_out = data
    if not train or (config.patience and not held_out):
        raise InputError("no dialogues to train on or to hold out: the run needs passed dialogues, make more tasks")
    loaded = prepare_model(model, domain, seat, train, config.seed, ids_only=config.ids_only)
    rows = make_rows(loaded, domain, seat, train, length=config.length)
    watched = make_rows(loaded, domain, seat, held_out, length=config.length)
    config = config.model_copy(update={"steps": count_steps(rows, config)})
    read = _pretrain(loaded, rows, out, config) if str(model) in SIZES and config.pretrain else 0
    trainer = _make_trainer(loaded, rows, watched, out, config, progress)
    trainer.train(resume_from_checkpoint=find_start(out))
    settings = replace(loaded.settings, seat=seat, context=max(config.length, loaded.settings.context))
    result = TrainResult(
        out=str(out),
        steps=trainer.state.global_step,
        tokens=int(trainer.state.num_input_tokens_seen),
        seconds=round(time.monotonic() - start, 1),
        metrics={**_summarise(trainer, rows, watched), "pretrain_tokens": read},
    )
    with first_alone() as first:
        if first:
            save_model(LoadedModel(trainer.model, loaded.tokenizer, settings), out)
            drop_checkpoints(out)
            write_result(out, result.model_dump(mode="json"))
    return result


def find_start(out: Path) -> str | None:
    """Return the checkpoint to go on from, None when there is none; what a kill left of others is removed once."""
    with first_alone() as first:
        found = find_checkpoint(out) if first else None
    return found if first else find_checkpoint(out)


def count_steps(rows: Rows, config: SftConfig) -> int:
    """Return the optimizer steps to train, as told or as many as make the number of own tokens."""
    if not config.own_tokens or not rows.own_tokens:
        return config.steps
    per_step = rows.own_tokens / math.ceil(len(rows.rows) / config.batch)
    return max(1, round(config.own_tokens / per_step))


def _pretrain(loaded: LoadedModel, rows: Rows, out: Path, config: SftConfig) -> int:
    """Teach a model made from scratch to read: every token of the training dialogues counts, whoever wrote it.

    Returns the number of tokens that took. A pretrained model knows how to copy from its context; this is where a fresh
    one learns it. Weights are kept in `out/pretrained`, so a run that was killed does not repeat it.
    """
    kept = out / "pretrained"
    if not (kept / "result.json").exists():
        everything = Rows([TokenRow(row.input_ids, row.input_ids) for row in rows.rows], rows.dropped)
        short = config.model_copy(update={"steps": config.pretrain, "patience": 0, "schedule": "constant_with_warmup"})
        trainer = _make_trainer(loaded, everything, everything, kept, short, None)
        trainer.train(resume_from_checkpoint=find_start(kept))
        with first_alone() as first:
            if first:
                save_model(loaded, kept)
                write_result(kept, {"tokens": int(trainer.state.num_input_tokens_seen)})
                drop_checkpoints(kept)
    loaded.model.load_state_dict(load_model(kept).model.state_dict())
    return read_json(kept / "result.json")["tokens"]


def _make_trainer(
    loaded: LoadedModel, rows: Rows, watched: Rows, out: Path, config: SftConfig, progress: Any
) -> SFTTrainer:
    stopping = bool(config.patience)
    args = TrlSftConfig(
        output_dir=str(out),
        max_steps=config.steps,
        per_device_train_batch_size=share_batch(config.batch),
        per_device_eval_batch_size=64,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup,
        weight_decay=0.01,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        max_length=None,
        bf16=False,
        use_cpu=not _has_accelerator(),
        gradient_checkpointing=False,
        include_num_input_tokens_seen="all",
        logging_steps=min(25, config.eval_every),
        eval_strategy="steps" if stopping else "no",
        eval_steps=config.eval_every,
        save_strategy="steps",
        save_steps=config.eval_every,
        save_total_limit=2,
        load_best_model_at_end=stopping,
        # Without this a resumed run forgets how many held-out losses it has already waited for a new minimum.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="eval_loss",
        report_to="none",
        disable_tqdm=True,
        seed=config.seed,
        data_seed=config.seed,
        dataset_num_proc=None,
        train_sampling_strategy="group_by_length",
    )
    callbacks: list[Any] = [MetricsFile(out / "metrics.jsonl", "sft", progress)]
    if stopping:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=config.patience))
    trainer = _Trainer(
        model=loaded.model,
        args=args,
        train_dataset=_dataset(rows),
        eval_dataset=_dataset(watched) if stopping else None,
        processing_class=loaded.tokenizer,
        callbacks=callbacks,
    )
    # Its lines are in metrics.jsonl; stdout belongs to the command.
    trainer.remove_callback(PrinterCallback)
    return trainer


class _Trainer(SFTTrainer):
    """SFTTrainer whose steps have the same rows however many processes share them."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        dataset: Any = train_dataset or self.train_dataset
        return LengthGroupedSampler(rows, dataset=dataset, model_input_name="input_ids")


def _dataset(rows: Rows) -> Any:
    return Dataset.from_dict(
        {"input_ids": [row.input_ids for row in rows.rows], "labels": [row.labels for row in rows.rows]}
    )


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available()


def _summarise(trainer: SFTTrainer, rows: Rows, watched: Rows) -> dict[str, Any]:
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    return {
        "rows": len(rows.rows),
        "dropped_for_length": rows.dropped + watched.dropped,
        "row_tokens": rows.tokens,
        "own_tokens": rows.own_tokens,
        "held_out_loss": min(losses) if losses else None,
        "last_held_out_loss": losses[-1] if losses else None,
        "best_step": trainer.state.best_global_step,
        "stopped_at_minimum": bool(losses) and trainer.state.global_step < trainer.state.max_steps,
    }
