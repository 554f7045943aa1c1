"""A server that plays the engine's roles well: it reads the prompts as a model would have to, and answers by script.

A simulation. It knows the domain, so that what it drafts can be proved; of each request it knows only what is in it.
"""

import hashlib
import json
import random
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

from servers.http import ChatServer, Handler, completion
from veriloop.core.message import Seat, ToolCall, ToolResult, Turn
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.perspective import seat_tools
from veriloop.domains.task import Fact, Initial, Request, SeatCall, UserScenario
from veriloop.domains.walk import explore, pooled_values
from veriloop.engine import synthesis
from veriloop.engine.assembly import write_request
from veriloop.engine.draft import apply_draft, draft_calls, evidence_reads
from veriloop.engine.plan import SynthesisPlan, find_reach
from veriloop.engine.request import drop_implied
from veriloop.engine.scenario import DECLINES, FACTS, KNOWN, LINKS, QUOTES, WISHES
from veriloop.engine.setting import Setting
from veriloop.rollout.player import Player, View
from veriloop.rollout.scripted import ScriptedUser
from veriloop.rollout.wording import collect_forms, find_told

CHARS_PER_TOKEN = 4
_HAD = re.compile(r"^- (\w+): their .+ is (.+)$", re.MULTILINE)
_HEARD = re.compile(r"^- (\w+): (.+)$", re.MULTILINE)
_LINK = re.compile("|".join(map(re.escape, LINKS)))
_SENTENCE = re.compile(r'(?<=[.!?"])\s+')

_FOUND: dict[str, dict[str, str]] = {}

Fault = Callable[[Handler, dict[str, Any]], bool]
"""Sees a request before it is answered; True when it has answered it already, badly."""


class RoleServer(ChatServer):
    """Plays all roles on one domain, with an expert for the agent. fault: what goes wrong.

    spoil: makes the synthesiser's submissions worse: the first one of each task, and all where it never mends.
    asked, answered: requests in all and those answered well. roles: requests by role. largest: tokens of the longest
    request and of the longest answer.
    """

    def __init__(
        self,
        domain: Domain,
        agent: Player,
        *,
        databases: int = 50,
        fault: Fault | None = None,
        spoil: Callable[[dict[str, Any]], None] | None = None,
        mends: bool = True,
    ) -> None:
        super().__init__(self._answer)
        self._domain, self._agent, self._fault = domain, agent, fault
        self._spoil, self._mends = spoil, mends
        self._callers = find_callers(domain, databases)
        self._lock = threading.Lock()
        self._drafted: dict[str, list[dict[str, Any]]] = {}
        self.asked = 0
        self.answered = 0
        self.roles: dict[str, int] = {}
        self.largest = (0, 0)

    def _answer(self, handler: Handler, body: dict[str, Any]) -> None:
        with self._lock:
            self.asked += 1
            role = find_role(body)
            self.roles[role] = self.roles.get(role, 0) + 1
        if self._fault and self._fault(handler, body):
            return
        try:
            with self._lock:
                message = self.play(role, body)
                self.answered += 1
        except Exception as error:  # the client would try again, and the test would never hear of it
            handler.send_json({"error": {"message": f"{role}: {error!r}"}}, 400)
            raise
        sent = [*body["messages"], *body.get("tools", [])]
        usage = {"prompt_tokens": sum(map(count_tokens, sent)), "completion_tokens": count_tokens(message)}
        self.largest = (max(self.largest[0], usage["prompt_tokens"]), max(self.largest[1], usage["completion_tokens"]))
        handler.send_json(completion(message, usage=usage))

    def play(self, role: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the role's message."""
        return getattr(self, f"play_{role}")(body)

    def play_synthesiser(self, body: dict[str, Any]) -> dict[str, Any]:
        """Look a few things up, hand in a task, and another one for each that was sent back."""
        messages = body["messages"]
        failed = sum("This task cannot be used" in str(message["content"]) for message in messages)
        turns = sum(message["role"] == "assistant" for message in messages)
        key = f"{messages[0]['content']}#{failed}"
        if key not in self._drafted:
            self._drafted[key] = self._draft(messages[0]["content"], failed)
        calls = self._drafted[key]
        return _calling(calls[min(turns, len(calls) - 1)], turns)

    def play_planner(self, body: dict[str, Any]) -> dict[str, Any]:
        """Take what the earlier plans were about least; another choice for each answer that was sent back."""
        text = body["messages"][0]["content"]
        again = sum(message["role"] == "assistant" for message in body["messages"])
        rng = random.Random(_digest(text) + again)
        picked: dict[str, list[str]] = {}
        for facet, size in {"tools": 3, "tiers": 1, "personas": 2, "clauses": 3}.items():
            found = re.search(rf"- `{facet}`: (.*)", text)
            used = (
                [(int(n), rng.random(), name) for name, n in re.findall(r"(\w+) \((\d+)\)", found[1])] if found else []
            )
            picked[facet] = [name for _, _, name in sorted(used)[:size]]
        return _saying(
            {**picked, "user_steps": 1.0, "guidelines": f"Callers who ask about {', '.join(picked['tools'])}."}
        )

    def play_reflector(self, body: dict[str, Any]) -> dict[str, Any]:
        """Ask more for what there is too little of."""
        rows = re.findall(
            r"^\| (\w+) \| (\w+) \| ([\d.]+) \| [\d.]+ \| (\d+) \| (\d+) ", body["messages"][0]["content"], re.M
        )
        edits = [
            {"plan": "all", "facet": facet, "name": name, "factor": round(factor, 3), "reason": f"{made} of {of} made"}
            for facet, name, wanted, made, of in rows
            if abs((factor := min(4.0, max(0.25, (float(wanted) + 0.03) / (int(made) / int(of) + 0.03)))) - 1) > 0.2
        ]
        return _saying({"edits": edits[:40], "attempts": None})

    def play_task_verifier(self, body: dict[str, Any]) -> dict[str, Any]:
        """Object to nothing."""
        return _saying({"good": True, "problems": []})

    def play_trajectory_verifier(self, body: dict[str, Any]) -> dict[str, Any]:
        """Object to nothing."""
        return _saying({"success": True, "item": None, "at_fault": None, "evidence": ""})

    def play_user(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as the scripted user would, from the script in the prompt."""
        script = body["messages"][0]["content"]
        return self._play(ScriptedUser(), "user", body, read_scenario(self._domain, script))

    def play_agent(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as the domain's expert would."""
        return self._play(self._agent, "agent", body, None)

    def _play(self, player: Player, seat: Seat, body: dict[str, Any], scenario: UserScenario | None) -> dict[str, Any]:
        system, *rest = body["messages"]
        key = str(_digest(system["content"]))
        turns = read_turns(rest, seat)
        view = View(key, key, seat, system["content"], seat_tools(self._domain, seat), turns, 0, scenario)
        message = player.reply([view])[0]
        calls = [_spell(call.name, call.arguments, call.id) for call in message.tool_calls]
        return {"content": message.content, **({"tool_calls": calls} if calls else {})}

    def _draft(self, prompt: str, failed: int) -> list[dict[str, Any]]:
        """Return the calls of the synthesiser's work: a few reads and the submission, or giving up."""
        rng = random.Random(_digest(prompt) + failed)
        tier = re.search(r'of tier "(\w+)"', prompt)
        assert tier
        caller = read_caller(prompt)
        database = self._callers[json.dumps(caller.known, sort_keys=True)]
        session = self._domain.open(Initial(database=database))
        setting = Setting(self._domain, database, caller, session, explore(self._domain, session, caller, rng))
        reach = find_reach(self._domain)
        asked = re.search(r"should be about: ([\w, ]+)\.", prompt)
        wanted = asked[1].split(", ") if asked else []
        tools = {name: 50.0 if name in wanted else 1.0 for name in reach.tools}
        plan = SynthesisPlan(tools=tools, tiers={}, personas={}, clauses=dict(reach.clauses))
        clause = re.search(r"should rest on rule (\w+):", prompt)
        shape = synthesis.SHAPES[tier[1]]
        drafts = synthesis._draft_requests(setting, plan, shape, rng, clause[1] if clause else None)
        start, identity = synthesis._identify(setting, drafts, rng) if drafts else (None, ())
        if not drafts or start is None:
            return [{"name": "give_up", "arguments": {"reason": f"no {tier[1]} case"}}]
        gold, wishes, state = list[SeatCall](), list[dict[str, Any]](), session.fork()
        for draft in drafts:
            request = drop_implied(self._domain, caller, state, draft, write_request(setting, draft, rng), rng)
            apply_draft(state, draft)
            told = frozenset(f.value for f in (*identity, *request.facts) if isinstance(f.value, str | int))
            chain = setting.walk.chain(pooled_values(draft.tool, draft.arguments), start, told)
            reads = evidence_reads(self._domain, setting.walk, draft, chain, told)
            gold += [SeatCall(seat="agent", call=setting.walk.reads[position].call) for position in reads]
            gold += draft_calls(draft) if draft.denied_by is None else []
            wishes.append(
                {
                    "tool": draft.tool.name,
                    "arguments": draft.arguments,
                    "topic": request.topic,
                    "refused_by": draft.denied_by,
                    "declines": list(draft.declined),
                }
            )
        submission = {
            "identity": [fact.kind for fact in identity],
            "requests": wishes,
            "gold": [{"seat": s.seat, "name": s.call.name, "arguments": s.call.arguments} for s in gold],
        }
        if self._spoil and (failed == 0 or not self._mends):
            self._spoil(submission)
        tries = [{"name": step.call.name, "arguments": step.call.arguments} for step in gold]
        return [*tries, {"name": "submit_task", "arguments": submission}]


def count_tokens(part: dict[str, Any]) -> int:
    """Return about how many tokens a message or a tool's schema is."""
    spelled = {key: value for key, value in part.items() if key not in ("role", "tool_call_id") and value}
    return len(json.dumps(spelled, ensure_ascii=False)) // CHARS_PER_TOKEN


def find_role(body: dict[str, Any]) -> str:
    """Return whose prompt a request is."""
    opening = body["messages"][0]["content"]
    for role, words in {
        "synthesiser": "You write tasks",
        "planner": "You plan the synthesis",
        "task_verifier": "You check training tasks",
        "trajectory_verifier": "You read a finished dialogue",
        "reflector": "You steer the synthesis",
        "user": "You play a customer",
    }.items():
        if opening.startswith(words):
            return role
    return "agent"


def read_caller(prompt: str) -> Caller:
    """Return who calls, from the synthesiser's prompt."""
    name = re.search(r"The caller is (.+)\.", prompt)
    assert name
    about, _, rest = prompt.partition("They have also come upon")
    heard = dict(_HEARD.findall(rest.partition("How they talk")[0])) if rest else {}
    return Caller(name[1], name[1], dict(_HAD.findall(about)), heard)


def read_scenario(domain: Domain, prompt: str) -> UserScenario:
    """Return the script of a user's prompt, its facts found in its sentences."""
    script = prompt.partition("The script:\n")[2]
    parts = dict(
        re.findall(r"^(Persona|Reason for call|Known info|Unknown info|Task instructions): (.*)$", script, re.M)
    )
    identity = _read_facts(domain, parts["Known info"])
    requests = []
    for wish in _LINK.split(parts["Reason for call"]):
        first, *rest = _SENTENCE.split(wish)
        topic = _match(WISHES, first)
        assert topic, first
        words = [found for sentence in rest if (found := _match(DECLINES, sentence))]
        declines = {name: text for text in words for name in _name_own_tools(domain, text)}
        requests.append(Request(topic=topic, facts=_read_facts(domain, wish), declines=declines))
    return UserScenario(
        persona=parts["Persona"],
        reason_for_call=parts["Reason for call"],
        known_info=parts["Known info"],
        unknown_info=parts.get("Unknown info", ""),
        task_instructions=parts.get("Task instructions", ""),
        identity=identity,
        requests=tuple(requests),
    )


def _name_own_tools(domain: Domain, words: str) -> list[str]:
    return [tool.name for tool in domain.tools.values() if tool.seat == "user" and words in tool.topics]


def read_turns(messages: list[dict[str, Any]], seat: Seat) -> tuple[Turn, ...]:
    """Return the turns of a dialogue as its messages tell them."""
    other: Seat = "user" if seat == "agent" else "agent"
    turns: list[Turn] = []
    for message in messages:
        if message["role"] == "tool":
            text = message["content"]
            result = ToolResult(call_id=message["tool_call_id"], content=text, error=text.startswith("Error"))
            turns[-1] = turns[-1].model_copy(update={"results": (*turns[-1].results, result)})
        elif message["role"] == "user":
            turns.append(Turn(seat=other, content=message["content"]))
        else:
            calls = tuple(_read_call(call) for call in message.get("tool_calls", ()))
            turns.append(Turn(seat=seat, content=message["content"], tool_calls=calls))
    return tuple(turns)


def _read_call(call: dict[str, Any]) -> ToolCall:
    return ToolCall(id=call["id"], name=call["function"]["name"], arguments=json.loads(call["function"]["arguments"]))


def _match(forms: Sequence[str], sentence: str) -> str:
    """Return what stands in the place of `{}` in a sentence of one of the forms."""
    patterns = [re.escape(form).replace(r"\{\}", "(.+)") for form in forms]
    return next((found[1] for pattern in patterns if (found := re.fullmatch(pattern, sentence))), "")


def _read_facts(domain: Domain, text: str) -> tuple[Fact, ...]:
    kinds, forms = _labels(domain), collect_forms(domain.tools.values())
    found = dict[str, Fact]()
    for sentence in _SENTENCE.split(text):
        quoted = _match(QUOTES, sentence)
        for label, kind in kinds.items():
            own = [form.replace("{label}", label).replace("{text}", "{}") for form in (*KNOWN, *FACTS)]
            told = find_told(quoted, label, forms.get(label)) if quoted else [_match(own, sentence)]
            if told and told[-1]:
                found.setdefault(label, Fact(label=label, text=told[-1], value=told[-1], kind=kind))
    return tuple(found.values())


def find_callers(domain: Domain, databases: int) -> dict[str, str]:
    """Return the database of everybody by what they know of themselves; read once per process."""
    key = f"{domain.name} {databases}"
    if key not in _FOUND:
        _FOUND[key] = _read_callers(domain, databases)
    return _FOUND[key]


def _read_callers(domain: Domain, databases: int) -> dict[str, str]:
    names = [domain.database(split, number) for split in ("train", "test") for number in range(databases)]
    return {
        json.dumps(caller.known, sort_keys=True): name
        for name in reversed(names)
        for caller in domain.callers(name, name.partition("-")[0])
    }


def _labels(domain: Domain) -> dict[str, str]:
    sources = [*domain.kinds.values(), *(s for tool in domain.tools.values() for s in tool.sources.values())]
    return {source.label: source.kind for source in sources}


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _spell(name: str, arguments: dict[str, Any], call: str) -> dict[str, Any]:
    return {"id": call, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def _calling(call: dict[str, Any], turn: int) -> dict[str, Any]:
    return {"content": "", "tool_calls": [_spell(call["name"], call["arguments"], f"call_{turn}")]}


def _saying(answer: dict[str, Any]) -> dict[str, Any]:
    return {"content": json.dumps(answer)}
