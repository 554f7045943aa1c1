"""A local model in a seat: all views answered in one batch, exact ids and log-probabilities kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, Sampled, Seat, Usage
from veriloop.core.trace import StopReason
from veriloop.local.chat import parse_reply
from veriloop.local.model import LoadedModel, load_model
from veriloop.local.render import Renderer, Transcript
from veriloop.local.sampler import Reply, Sampler
from veriloop.rollout.player import View


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn.

    tokens: limit of one reply. context: limit of a whole dialogue; None: what the model's folder says. rows: dialogues
    cached.
    """

    temperature: float = 1.0
    tokens: int = 96
    context: int | None = None
    rows: int = 128


class LocalPlayer:
    """Plays one seat with a causal language model."""

    def __init__(
        self, loaded: LoadedModel, seat: Seat, *, sampling: Sampling | None = None, name: str = "local"
    ) -> None:
        self.name, self.sampling = name, sampling or Sampling()
        self.seat: Seat = seat
        self._loaded = loaded
        self._context = self.sampling.context or loaded.settings.context
        self._renderers: dict[tuple[str, ...], Renderer] = {}
        self._transcripts: dict[str, Transcript] = {}
        self._sampler = make_sampler(loaded, self.sampling)
        self._asked: dict[int, tuple[Transcript, int]] = {}
        self._refused: list[int] = []

    @classmethod
    def load(cls, path: str | Path, seat: Seat, *, sampling: Sampling | None = None) -> "LocalPlayer":
        """Load a model folder for a seat."""
        return cls(load_model(path), seat, sampling=sampling, name=f"local:{Path(path).name}")

    def forget(self) -> None:
        """Drop everything cached; needed after the weights have changed."""
        self._sampler.forget()
        self._transcripts.clear()
        self._asked.clear()
        self._refused.clear()

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer all views together."""
        for ticket, view in enumerate(views):
            self.begin(ticket, view)
        answers = dict[int, Message]()
        while len(answers) < len(views):
            answers.update(self.advance())
        return [answers[ticket] for ticket in range(len(views))]

    def begin(self, ticket: int, view: View) -> None:
        """Take a view to answer under `ticket`."""
        transcript = self._follow(view)
        context = transcript.prompted()
        self._asked[ticket] = transcript, len(context)
        if len(context) + self.sampling.tokens > self._context:
            self._refused.append(ticket)
        else:
            self._sampler.begin(ticket, view.key, context, derive_seed("sample", view.key, view.seat, len(view.turns)))

    def advance(self) -> list[tuple[int, Message]]:
        """Write a token of every answer under way; returns the answers that are complete."""
        refused, self._refused = self._refused, []
        replies = [*((ticket, None) for ticket in refused), *self._sampler.advance()]
        return [(ticket, self._read(reply, *self._asked.pop(ticket))) for ticket, reply in replies]

    def cancel(self) -> None:
        """Drop the answers under way, and all that is cached with them."""
        if self._asked:
            self.forget()

    def _follow(self, view: View) -> Transcript:
        """Return the dialogue's transcript up to the view, made anew when the view does not continue the known one."""
        transcript = self._transcripts.get(view.key)
        if transcript is None or transcript.turns > len(view.turns):
            transcript = self._start(view)
            self._transcripts[view.key] = transcript
            while len(self._transcripts) > 4 * self.sampling.rows:
                self._transcripts.pop(next(iter(self._transcripts)))
        for turn in view.turns[transcript.turns :]:
            transcript.add_turn(turn)
        return transcript

    def _start(self, view: View) -> Transcript:
        names = tuple(tool.name for tool in view.tools)
        if names not in self._renderers:
            self._renderers[names] = make_renderer(self._loaded, self.seat, [tool.schema() for tool in view.tools])
        return self._renderers[names].start(choose_system(self._loaded, self.seat, view.system))

    def _read(self, reply: Reply | None, transcript: Transcript, prompt: int) -> Message:
        codec = transcript.codec
        if reply is None:
            return Message(malformed=f"{StopReason.TOO_LONG.value}: the context of {self._context} tokens is full")
        ids = reply.ids if reply.cut else reply.ids[:-1]
        text = self._loaded.tokenizer.decode(ids, skip_special_tokens=False)
        sampled = Sampled(token_ids=tuple(reply.ids), logprobs=tuple(reply.logprobs), context=codec.table())
        usage = Usage(prompt=prompt, completion=len(reply.ids))
        if reply.cut:
            problem = f"no end within {self.sampling.tokens} tokens"
            return Message(content=codec.decode(text), malformed=problem, sampled=sampled, usage=usage)
        message = parse_reply(codec.decode(text))
        return message.model_copy(update={"sampled": sampled, "usage": usage})


def make_renderer(loaded: LoadedModel, seat: Seat, tools: Sequence[dict[str, Any]]) -> Renderer:
    """Return what renders a seat's dialogues as the model was trained to read them."""
    settings = loaded.settings
    return Renderer(
        loaded.tokenizer, seat, tools=[] if settings.aliases else tools, aliases=settings.aliases,
        ids_only=settings.ids_only,
    )  # fmt: skip


def choose_system(loaded: LoadedModel, seat: Seat, system: str) -> str:
    """Return as much of the system text as the model was trained to read."""
    return system if seat == "user" or loaded.settings.policy == "full" else ""


def make_sampler(loaded: LoadedModel, sampling: Sampling) -> Sampler:
    """Return a sampler of the model's replies."""
    end, pad = loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id
    return Sampler(
        loaded.model, end=end, pad=end if pad is None else pad, rows=sampling.rows, temperature=sampling.temperature,
        limit=sampling.tokens,
    )  # fmt: skip
