"""The task synthesiser as a model: tries the tools on a live session, submits a task, mends what is wrong with it."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from veriloop.check.allow import BUILTINS, METHODS
from veriloop.core.message import Message, ToolCall
from veriloop.domains.domain import Domain, agent_actions
from veriloop.domains.session import Session
from veriloop.domains.task import Task
from veriloop.engine.plan import PERSONAS, PlanPair, draw
from veriloop.engine.role.cast import DraftError
from veriloop.engine.role.prompt import render_prompt
from veriloop.engine.role.submission import CheckedSubmission, Submission, build_task, find_submission_problems
from veriloop.engine.setting import Order, Setting, enter_setting
from veriloop.engine.synthesis import SHAPES
from veriloop.llm.chat import ChatRequest, ContextError, RefusedError
from veriloop.llm.client import Client
from veriloop.rollout.endpoint import read_message, write_advice, write_call

SUBMIT, RESTART, GIVE_UP = "submit_task", "start_over", "give_up"
TURNS = 40
"""Answers a model may take for one task, mending included."""
SAMPLES = 4
"""Answers asked for at one point of the work before one that cannot be used is discussed with the model."""
STRAYS = 3
"""Points in a row at which no answer can be used, after which a model counts as unable to do this work."""
SHOWN = 12
"""Problems told at once; a checker that lets everything pass has one for every mutant."""

_END_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": RESTART,
            "description": "Put the database back to how it was before you changed anything.",
            "parameters": {"type": "object", "properties": {}},
        },
    },
    {
        "type": "function",
        "function": {
            "name": GIVE_UP,
            "description": "End the work without a task, because this caller has no case of what is asked for.",
            "parameters": {
                "type": "object",
                "properties": {"reason": {"type": "string"}},
                "required": ["reason"],
            },
        },
    },
]


class ModelSynthesiser:
    """Asks a model for tasks. What a task is to be about is drawn from the plan's weights, as for the script."""

    def __init__(
        self,
        client: Client,
        *,
        options: dict[str, Any] | None = None,
        prompts: Path | None = None,
        writes_checkers: bool = False,
    ) -> None:
        """Take the model's client.

        options: fields of every request. prompts: folder of edited prompts. writes_checkers: whether it may hand in
        checkers of its own; they go through the same proof as those compiled.
        """
        self._client, self._options, self._prompts = client, options or {}, prompts
        self._shape = CheckedSubmission if writes_checkers else Submission
        self.advice: tuple[str, ...] = ()

    def advise(self, lines: tuple[str, ...]) -> "ModelSynthesiser":
        """Return the same synthesiser who also reads these lines, after its prompt."""
        advised = copy.copy(self)
        advised.advice = lines
        return advised

    def start(self, domain: Domain, pair: PlanPair, order: Order) -> "ModelDrafting":
        """Begin an attempt: draw who calls and what the task is to be, and write the prompt."""
        brief = _Brief(domain, pair, order, self._shape)
        prompt = brief.write_prompt(self._prompts) + write_advice(self.advice)
        return ModelDrafting(self._client, self._options, brief, prompt)


class _Brief:
    """What one task is to be: where it plays, of which tier, about which tool or rule, with what kind of caller.

    form: in which a task is handed in.
    """

    def __init__(self, domain: Domain, pair: PlanPair, order: Order, form: type[Submission]) -> None:
        plan = pair.synthesis
        self.pair, self.order, self.form = pair, order, form
        self.setting: Setting = enter_setting(domain, order, order.roll("caller", 0))
        tiers = {tier: plan.tiers[tier] for tier in SHAPES if tier in plan.tiers} or {"single": 1.0}
        self.tier = draw(tiers, order.roll("tier"))
        self.persona = draw(plan.personas, order.roll("persona"))
        self.shape = SHAPES[self.tier]
        refuses = plan.clauses and not all(self.shape)
        self.clause = draw(plan.clauses, order.roll("clause")) if refuses else None
        self.tools = [draw(plan.tools, order.roll("tool", n)) for n in range(sum(self.shape))]

    def write_prompt(self, folder: Path | None) -> str:
        domain, caller = self.setting.domain, self.setting.caller
        return render_prompt(
            "synthesiser",
            folder,
            policy=domain.policy,
            caller=caller,
            known={
                kind: (domain.kinds[kind].label, value) for kind, value in caller.known.items() if kind in domain.kinds
            },
            tier=self.tier,
            shape=self.shape,
            tools=self.tools,
            clause=next((clause for clause in domain.clauses if clause.id == self.clause), None),
            clauses=[clause for clause in domain.clauses if clause.tools],
            persona=PERSONAS[self.persona],
            guidelines=self.pair.synthesis.guidelines,
            writes=agent_actions(domain),
            writes_checkers=self.form is CheckedSubmission,
            allowed=", ".join(sorted(BUILTINS | METHODS)),
            submit=SUBMIT,
            restart=RESTART,
            give_up=GIVE_UP,
        )


class ModelDrafting:
    """One task's work: a conversation with the model in which its tool calls are made on a session of its own.

    messages: the conversation so far, at first the prompt. tools: those of the domain and those that end the work.
    """

    def __init__(self, client: Client, options: dict[str, Any], brief: _Brief, prompt: str) -> None:
        self._client, self._options, self._brief = client, options, brief
        self._session: Session = brief.setting.session.fork()
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
        self.tools = [tool.schema() for tool in brief.setting.domain.tools.values()]
        self.tools += [_describe_submission(brief.form), *_END_TOOLS]
        self._turns = 0
        self._submitted: ToolCall | None = None

    async def draft(self, problems: Sequence[str]) -> Task | None:
        """Work until a task is submitted that can be proved; see `Drafting`."""
        if problems:
            self._object(problems)
        strays = 0
        while self._turns < TURNS:
            self._turns += 1
            message = await self._ask()
            if message.malformed or not message.tool_calls:
                strays += 1
                wrong = message.malformed or "it calls no tool"
                if strays == STRAYS:
                    raise DraftError(f"the model's answers cannot be used, the last because {wrong}")
                self._correct(message, wrong)
                continue
            strays = 0
            if task := self._act(message):
                return task
        raise DraftError(f"no task in {TURNS} answers of the model")

    async def _ask(self) -> Message:
        """Return the model's answer; one that cannot be used is drawn again, as a failed call would be."""
        message = Message(malformed="nothing was asked")
        for sample in range(SAMPLES):
            seed = self._brief.order.roll("model", self._turns, sample).randrange(2**31)
            request = ChatRequest(list(self.messages), self.tools, seed, self._options, sample)
            try:
                message = read_message(await self._client.complete(request))
            except ContextError as error:
                raise DraftError(f"the work is longer than the model's context: {error}") from None
            except RefusedError as error:
                raise DraftError(str(error)) from None
            if message.tool_calls and not message.malformed and not self._find_unknown(message):
                return message
        return message

    def _find_unknown(self, message: Message) -> list[str]:
        there = {tool["function"]["name"] for tool in self.tools}
        return [call.name for call in message.tool_calls if call.name not in there]

    def _correct(self, message: Message, wrong: str) -> None:
        self.messages += [
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": f"That cannot be used: {wrong}. Go on with a tool, or hand in with {SUBMIT}."},
        ]

    def _act(self, message: Message) -> Task | None:
        """Make the message's calls; returns the task when one of them hands in one that can be made."""
        calls = [write_call(call) for call in message.tool_calls]
        self.messages.append({"role": "assistant", "content": message.content, "tool_calls": calls})
        task = None
        for call in message.tool_calls:
            if call.name == SUBMIT and task is None:
                task, answer = self._read_submission(call)
                if task:
                    self._submitted = call
                    continue
            elif call.name == GIVE_UP:
                raise DraftError(f"the synthesiser gives up: {call.arguments.get('reason', 'no reason')}")
            elif call.name == RESTART:
                self._session, answer = self._brief.setting.session.fork(), "The database is as it was."
            else:
                answer = self._call(call)
            self._answer(call, answer)
        return task

    def _call(self, call: ToolCall) -> str:
        tool = self._brief.setting.domain.tools.get(call.name)
        if tool is None:
            return f"Error: there is no tool {call.name!r}"
        return self._session.call(tool.seat, call).content

    def _read_submission(self, call: ToolCall) -> tuple[Task | None, str]:
        """Return the task, or what is wrong with how it is described."""
        brief = self._brief
        try:
            submission = brief.form.model_validate_json(json.dumps(call.arguments))
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()[:8]]
        else:
            problems = find_submission_problems(brief.setting, brief.shape, submission)
            if not problems:
                manner = brief.tier, brief.persona
                rng = brief.order.roll("words")
                return build_task(brief.setting, brief.pair, brief.order, manner, submission, rng), ""
        return None, _list(problems)

    def _object(self, problems: Sequence[str]) -> None:
        assert self._submitted is not None
        self._answer(self._submitted, _list(problems))

    def _answer(self, call: ToolCall, content: str) -> None:
        self.messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


def _describe_submission(form: type[Submission]) -> dict[str, Any]:
    about = "Hand in the finished task. What is wrong with it comes back, to be mended."
    return {
        "type": "function",
        "function": {"name": SUBMIT, "description": about, "parameters": form.model_json_schema()},
    }


def _list(problems: Sequence[str]) -> str:
    more = [f"and {len(problems) - SHOWN} more like these"] if len(problems) > SHOWN else []
    listed = "\n- ".join([*problems[:SHOWN], *more])
    return f"This task cannot be used:\n- {listed}\nMend it and call {SUBMIT} again with all of it."
