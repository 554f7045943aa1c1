"""Both verifiers as models: they read what was proved or played as the evaluation plan wants it read.

Their word is opinion. A task verifier can send a proved task back to be mended, a trajectory verifier can take a
dialogue out of the demonstrations; neither can let anything in that the proof or the checker refused.
"""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from veriloop.core.base import Frozen, derive_seed
from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import render_scenario
from veriloop.domains.task import Task
from veriloop.engine.plan import PlanPair
from veriloop.engine.role.prompt import render_prompt
from veriloop.engine.role.transcript import write_gold, write_transcript
from veriloop.llm.chat import ChatRequest
from veriloop.llm.client import Client
from veriloop.llm.structured import REDRAWS, ShapeError, ask_shaped
from veriloop.proof.blame import Fault, Opinion

T = TypeVar("T", bound=Frozen)


class TaskReview(Frozen):
    """A task verifier's answer: good, or what has to be mended."""

    good: bool
    problems: tuple[str, ...] = Field(default=(), max_length=8)


class TraceReview(Frozen):
    """A trajectory verifier's answer. item: id of the rubric item that is not met. at_fault: whose fault that is."""

    success: bool
    item: str | None = None
    at_fault: Literal["task", "agent", "user"] | None = None
    evidence: str = Field(default="", max_length=1000)


class ModelVerifier:
    """Asks a model; takes either verifier's seat. An answer that cannot be read after three tries is no opinion."""

    def __init__(
        self, client: Client, domain: Domain, *, options: dict[str, Any] | None = None, prompts: Path | None = None
    ) -> None:
        """Take the model's client and the domain whose policy it reads. prompts: folder of edited prompts."""
        self._client, self._domain = client, domain
        self._options, self._prompts = options or {}, prompts
        self.unread = 0
        """Reviews that came to nothing because no answer could be read."""

    async def review_task(self, pair: PlanPair, task: Task) -> tuple[str, ...]:
        """Return what is wrong with a proved task."""
        review = await self.read_task(pair, task)
        if review is None or review.good:
            return ()
        return review.problems or ("the task verifier objects without a reason",)

    async def read_task(self, pair: PlanPair, task: Task) -> TaskReview | None:
        """Return the model's answer about a task; None when none can be read."""
        return await self._ask("task_verifier", TaskReview, pair, task, gold=write_gold(task))

    async def review_trace(self, pair: PlanPair, task: Task, trace: Trace) -> Opinion | None:
        """Return the opinion on a dialogue."""
        review = await self._ask("trajectory_verifier", TraceReview, pair, task, dialogue=write_transcript(trace))
        if review is None:
            return None
        evidence = f"{review.item}: {review.evidence}" if review.item else review.evidence
        fault = Fault(review.at_fault) if review.at_fault and not review.success else None
        return Opinion(success=review.success, fault=fault, evidence=evidence)

    async def _ask(self, prompt: str, shape: type[T], pair: PlanPair, task: Task, **values: Any) -> T | None:
        text = render_prompt(
            prompt,
            self._prompts,
            policy=self._domain.policy,
            guidelines=pair.synthesis.guidelines,
            rubric=pair.evaluation.rubric,
            judging=pair.evaluation.guidelines,
            instruction=render_scenario(task.user),
            refused=[clause for clause in self._domain.clauses if clause.id in task.refused],
            **values,
        )
        seed = derive_seed(prompt, task.id, *map(str, values.values())) % 2**31
        request = ChatRequest([{"role": "user", "content": text}], seed=seed, options=self._options)
        try:
            return (await ask_shaped(self._client, request, shape, redraws=REDRAWS)).value
        except ShapeError:
            self.unread += 1
            return None
