"""One model, asked by many: a thread of its own writes the replies of all who wait side by side, a token at a time."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from jinja2 import TemplateError

from veriloop.core.base import canonical_json, derive_seed
from veriloop.core.errors import VeriloopError
from veriloop.core.message import Sampled, Seat, Usage
from veriloop.local.model import LoadedModel
from veriloop.local.player import Sampling, choose_system, make_renderer, make_sampler
from veriloop.local.render import Renderer, Transcript
from veriloop.local.sampler import Reply
from veriloop.serve.answer import Answer, Piece, find_certain, read_answer
from veriloop.serve.dialogue import RequestError
from veriloop.serve.memory import Memory
from veriloop.serve.request import Asked

QUEUE = 256
"""Replies under way or waiting at most; who comes later is asked to come again."""
RENDERERS = 16
"""Sets of tools whose rendering is kept."""
_STOPPING = RequestError("the server is stopping", status=503)
_PROBE = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}


Tell = Callable[[Piece | Answer | RequestError], None]


@dataclass(slots=True)
class _Job:
    """A reply under way. known: digest of the dialogue before it. said: what was told of it so far."""

    asked: Asked
    transcript: Transcript
    known: str
    prompt: int
    said: str = ""


class Desk:
    """Takes requests from any thread; `tell` is called in another, as a rule the desk's own."""

    def __init__(self, loaded: LoadedModel, *, rows: int = 16, context: int | None = None, seed: int = 0) -> None:
        """Start; raises InputError for a model or template that cannot be served.

        rows: dialogues whose keys and values are cached, and so many are written at once. context: tokens of a dialogue
        at most, None for what the model was made for. seed: of requests that bring none.
        """
        self.seat: Seat = "user" if loaded.settings.seat == "user" else "agent"
        self.context = context or int(loaded.model.config.max_position_embeddings)
        self._loaded, self._seed = loaded, seed
        self._sampler = make_sampler(loaded, Sampling(rows=rows))
        self._renderers = {"": make_renderer(loaded, self.seat, [_PROBE])}
        self._memory = Memory(self.seat)
        self._tickets = itertools.count()
        self._inbox = SimpleQueue[Callable[[], None]]()
        self._jobs = dict[int, _Job]()
        self._waiting = dict[int, Tell]()
        self.open = True
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> int:
        """How many replies are under way or waiting."""
        return len(self._waiting)

    def ask(self, asked: Asked, tell: Tell) -> int:
        """Ask for a reply; `tell` gets pieces of it where they were asked for, and at last the answer or a refusal."""
        if not self.open:
            raise _STOPPING
        if self.busy >= QUEUE:
            raise RequestError(f"{QUEUE} replies are waiting already; ask again later", status=503, code="overloaded")
        ticket = next(self._tickets)
        self._waiting[ticket] = tell
        self._inbox.put(lambda: self._begin(ticket, asked))
        return ticket

    def drop(self, ticket: int) -> None:
        """Give up a reply that nobody waits for; nothing happens where it is complete."""
        self._inbox.put(lambda: self._drop(ticket))

    def close(self) -> None:
        """Refuse what is under way at once, and stop after the pass through the model that nothing breaks off."""
        self.open = False
        self._inbox.put(lambda: None)
        self._refuse(list(self._waiting), _STOPPING)

    def _work(self) -> None:
        try:
            while self.open:
                while self.open and (not self._jobs or not self._inbox.empty()):
                    self._inbox.get()()
                if self.open:
                    self._advance()
        finally:
            self.open = False
            self._refuse(list(self._waiting), _STOPPING)

    def _begin(self, ticket: int, asked: Asked) -> None:
        if ticket not in self._waiting:
            return
        try:
            job = self._open_job(asked)
        except RequestError as error:
            self._refuse([ticket], error)
            return
        self._jobs[ticket] = job
        seed = ("asked", asked.seed, job.known) if asked.seed is not None else ("own", self._seed, ticket)
        room = self.context - job.prompt
        self._sampler.begin(
            ticket, None, job.transcript.prompted(), derive_seed("serve", *seed),
            temperature=asked.temperature, limit=min(asked.limit or room, room),
        )  # fmt: skip

    def _open_job(self, asked: Asked) -> _Job:
        try:
            known = self._memory.recall(asked)
            transcript = self._find_renderer(asked).start(choose_system(self._loaded, self.seat, asked.system))
            for turn in known.turns:
                transcript.add_turn(turn)
        except (TemplateError, TypeError, ValueError, RecursionError, VeriloopError) as error:
            raise RequestError(
                f"the model's chat template does not take this dialogue: {error}", param="messages"
            ) from None
        prompt = len(transcript.prompted())
        if prompt >= self.context:
            said = f"the dialogue is {prompt} tokens long, this model's context length is {self.context}"
            raise RequestError(said, param="messages", code="context_length_exceeded")
        return _Job(asked, transcript, known.digest, prompt)

    def _find_renderer(self, asked: Asked) -> Renderer:
        key = canonical_json(list(asked.tools))
        if key not in self._renderers:
            self._renderers[key] = make_renderer(self._loaded, self.seat, asked.tools)
            while len(self._renderers) > RENDERERS:
                self._renderers.pop(next(iter(self._renderers)))
        return self._renderers[key]

    def _drop(self, ticket: int) -> None:
        self._waiting.pop(ticket, None)
        if self._jobs.pop(ticket, None):
            self._sampler.drop(ticket)

    def _advance(self) -> None:
        try:
            replies = self._sampler.advance()
        except (RuntimeError, MemoryError) as error:
            # Most likely memory: nothing of the cache can be trusted, and the next request may well fit.
            self._refuse(list(self._jobs), RequestError(f"the model failed: {str(error)[:300]}", status=500))
            self._jobs.clear()
            self._sampler.forget()
            return
        for ticket, reply in replies:
            self._end(ticket, self._finish(self._jobs.pop(ticket), reply))
        for ticket, ids in self._sampler.written().items():
            if self._jobs[ticket].asked.stream and (tell := self._waiting.get(ticket)):
                self._tell_piece(self._jobs[ticket], ids, tell)

    def _refuse(self, tickets: list[int], error: RequestError) -> None:
        for ticket in tickets:
            self._end(ticket, error)

    def _end(self, ticket: int, event: Answer | RequestError) -> None:
        if tell := self._waiting.pop(ticket, None):
            tell(event)

    def _tell_piece(self, job: _Job, ids: list[int], tell: Tell) -> None:
        text = find_certain(self._decode(job, ids))
        if text.startswith(job.said) and len(text) > len(job.said):
            tell(Piece(text[len(job.said) :]))
            job.said = text

    def _finish(self, job: _Job, reply: Reply) -> Answer:
        text = self._decode(job, reply.ids if reply.cut else reply.ids[:-1])
        usage = Usage(prompt=job.prompt, completion=len(reply.ids), cached=reply.cached)
        if reply.cut:
            return Answer(text.strip(), (), "length", usage)
        answer = read_answer(text, usage, mark=job.known[:16], offered=bool(job.asked.tools))
        sampled = Sampled(token_ids=tuple(reply.ids), logprobs=tuple(reply.logprobs))
        self._memory.keep(job.known, answer.content, answer.calls, sampled)
        return answer

    def _decode(self, job: _Job, ids: list[int]) -> str:
        text = self._loaded.tokenizer.decode(ids, skip_special_tokens=False)
        return job.transcript.codec.decode(text)
