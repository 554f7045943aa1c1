"""A local model in a seat: all views answered in one batch, exact ids and log-probabilities kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, Sampled, Seat, Usage
from veriloop.core.trace import StopReason
from veriloop.local.chat import parse_reply
from veriloop.local.codec import Codec
from veriloop.local.model import LoadedModel, load_model
from veriloop.local.render import Renderer, Transcript
from veriloop.local.sampler import Reply, Sampler
from veriloop.rollout.player import View


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn. tokens: limit of one reply. context: limit of a whole dialogue. rows: dialogues cached."""

    temperature: float = 1.0
    tokens: int = 96
    context: int = 1400
    rows: int = 128


class LocalPlayer:
    """Plays one seat with a causal language model."""

    def __init__(
        self, loaded: LoadedModel, seat: Seat, *, sampling: Sampling | None = None, name: str = "local"
    ) -> None:
        self.name, self.sampling = name, sampling or Sampling()
        self.seat: Seat = seat
        self._loaded = loaded
        self._renderers: dict[tuple[str, ...], Renderer] = {}
        self._transcripts: dict[str, Transcript] = {}
        tokenizer = loaded.tokenizer
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        self._sampler = Sampler(loaded.model, end=tokenizer.eos_token_id, pad=pad, rows=self.sampling.rows)

    @classmethod
    def load(cls, path: str | Path, seat: Seat, *, sampling: Sampling | None = None) -> "LocalPlayer":
        """Load a model folder for a seat."""
        return cls(load_model(path), seat, sampling=sampling, name=f"local:{Path(path).name}")

    def forget(self) -> None:
        """Drop everything cached; needed after the weights have changed."""
        self._sampler.forget()
        self._transcripts.clear()

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer all views together, at most `sampling.rows` at a time."""
        width = self.sampling.rows
        return [
            message for start in range(0, len(views), width) for message in self._reply(views[start : start + width])
        ]

    def _reply(self, views: Sequence[View]) -> list[Message]:
        transcripts = [self._follow(view) for view in views]
        contexts = [transcript.prompted() for transcript in transcripts]
        fitting = [
            place for place, ids in enumerate(contexts) if len(ids) + self.sampling.tokens <= self.sampling.context
        ]
        replies: dict[int, Reply] = {}
        if fitting:
            drawn = self._sampler.sample(
                [views[place].key for place in fitting],
                [contexts[place] for place in fitting],
                temperature=self.sampling.temperature,
                limit=self.sampling.tokens,
                seeds=[derive_seed("sample", views[p].key, views[p].seat, len(views[p].turns)) for p in fitting],
            )
            replies = dict(zip(fitting, drawn, strict=True))
        return [
            self._read(replies.get(place), transcript.codec, len(contexts[place]))
            for place, transcript in enumerate(transcripts)
        ]

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
        settings = self._loaded.settings
        names = tuple(tool.name for tool in view.tools)
        if names not in self._renderers:
            schemas = [] if settings.aliases else [tool.schema() for tool in view.tools]
            self._renderers[names] = Renderer(
                self._loaded.tokenizer, self.seat, tools=schemas, aliases=settings.aliases
            )
        system = view.system if self.seat == "user" or settings.policy == "full" else ""
        return self._renderers[names].start(system)

    def _read(self, reply: Reply | None, codec: Codec, prompt: int) -> Message:
        if reply is None:
            return Message(
                malformed=f"{StopReason.TOO_LONG.value}: the context of {self.sampling.context} tokens is full"
            )
        ids = reply.ids if reply.cut else reply.ids[:-1]
        text = self._loaded.tokenizer.decode(ids, skip_special_tokens=False)
        sampled = Sampled(token_ids=tuple(reply.ids), logprobs=tuple(reply.logprobs), context=codec.table())
        usage = Usage(prompt=prompt, completion=len(reply.ids))
        if reply.cut:
            problem = f"no end within {self.sampling.tokens} tokens"
            return Message(content=codec.decode(text), malformed=problem, sampled=sampled, usage=usage)
        message = parse_reply(codec.decode(text))
        return message.model_copy(update={"sampled": sampled, "usage": usage})
