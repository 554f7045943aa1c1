"""From dialogues to token rows for one seat, and the model and tokenizer they are made for."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.core.message import Seat, Turn
from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import seat_tools, system_text, visible_turns
from veriloop.domains.task import Task
from veriloop.local.codec import AliasCodec
from veriloop.local.model import LoadedModel, ModelSettings, load_model
from veriloop.local.nano import SIZES, VOCABULARY, make_nano
from veriloop.local.render import Renderer
from veriloop.local.tokenizer import train_tokenizer
from veriloop.store.file import write_json


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A dialogue with the task it was about."""

    task: Task
    trace: Trace


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A dialogue as token ids; labels are -100 wherever the seat did not speak. Both have the same length."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Rows:
    """Token rows and how many dialogues were dropped because they are longer than the limit."""

    rows: list[TokenRow]
    dropped: int

    @property
    def tokens(self) -> int:
        """Tokens in all rows."""
        return sum(len(row.input_ids) for row in self.rows)

    @property
    def own_tokens(self) -> int:
        """Tokens in all rows that are trained on."""
        return sum(label != -100 for row in self.rows for label in row.labels)


def prepare_model(
    name: str | Path, domain: Domain, seat: Seat, dialogues: Sequence[Dialogue], seed: int, *, ids_only: bool = False
) -> LoadedModel:
    """Return the model to train: one from scratch (`SIZES`) with a tokenizer of these dialogues, or a loaded one.

    ids_only: see `ModelSettings`.
    """
    if str(name) not in SIZES:
        return load_model(name)
    settings = ModelSettings(seat=seat, aliases=True, ids_only=ids_only, policy="none")
    texts = _texts(domain, seat, dialogues, settings)
    tokenizer = train_tokenizer(texts, VOCABULARY[str(name)], joined=ids_only)
    return LoadedModel(make_nano(tokenizer, str(name), seed=seed), tokenizer, settings)


def make_renderer(loaded: LoadedModel, domain: Domain, seat: Seat, *, alone: bool = False) -> Renderer:
    """Return the renderer that this model's player uses too; alone: see `seat_tools`."""
    tools = seat_tools(domain, seat, alone=alone)
    schemas = [] if loaded.settings.aliases else [tool.schema() for tool in tools]
    settings = loaded.settings
    return Renderer(loaded.tokenizer, seat, tools=schemas, aliases=settings.aliases, ids_only=settings.ids_only)


def make_rows(loaded: LoadedModel, domain: Domain, seat: Seat, dialogues: Sequence[Dialogue], *, length: int) -> Rows:
    """Render dialogues for a seat; rows over `length` tokens are dropped and counted, never cut."""
    renderers = {alone: make_renderer(loaded, domain, seat, alone=alone) for alone in (False, True)}
    rows, dropped = [], 0
    for dialogue in dialogues:
        renderer = renderers[dialogue.task.initial.ticket is not None]
        system = view_system(loaded.settings, domain, dialogue.task, seat)
        turns = visible_turns(dialogue.trace.turns, seat)
        rendered = renderer.render(system, [strip_sample(turn) for turn in turns])
        if len(rendered.ids) > length:
            dropped += 1
            continue
        labels = [token if own else -100 for token, own in zip(rendered.ids, rendered.mask, strict=True)]
        rows.append(TokenRow(rendered.ids, labels))
    return Rows(rows, dropped)


def view_system(settings: ModelSettings, domain: Domain, task: Task, seat: Seat) -> str:
    """Return the system text as the model's settings want it."""
    if seat == "agent" and settings.policy == "none":
        return ""
    return system_text(domain, task, seat)


def strip_sample(turn: Turn) -> Turn:
    """Return the turn without the ids some other model sampled; they mean nothing to this tokenizer."""
    return turn.model_copy(update={"sampled": None})


def _texts(domain: Domain, seat: Seat, dialogues: Iterable[Dialogue], settings: ModelSettings) -> Iterator[str]:
    """Yield every text of a seat's view as its codec writes it."""
    for dialogue in dialogues:
        codec = AliasCodec(ids_only=settings.ids_only)
        if seat == "user":
            yield codec.encode(system_text(domain, dialogue.task, seat))
        for turn in visible_turns(dialogue.trace.turns, seat):
            yield codec.encode(turn.content)
            if turn.seat == seat:
                yield from (f"{call.name} {codec.encode(json.dumps(call.arguments))}" for call in turn.tool_calls)
                yield from (codec.encode(result.content) for result in turn.results)


def write_result(out: Path, result: dict[str, Any]) -> None:
    """Write a model folder's result.json, the sign that training has ended."""
    write_json(out / "result.json", result)
