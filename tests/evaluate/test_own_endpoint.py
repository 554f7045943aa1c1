"""A real model behind a real server plays whole dialogues; its checkers judge them.

The model of the everyday test is trained on the spot for some seconds. With VERILOOP_TEST_SMOLLM2=1 a second test plays
the same with SmolLM2-135M-Instruct and the whole policy as its prompt, which takes many minutes.
"""

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.sandbox import judge
from veriloop.core.base import derive_seed
from veriloop.core.trace import StopReason
from veriloop.core.verdict import Outcome
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Task
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.evaluate.record import Record
from veriloop.llm.client import Client, Endpoint
from veriloop.proof.prove import attach_checker
from veriloop.rollout.driver import play
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.rollout.episode import Episode, Limits
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser

pytest.importorskip("transformers", reason="needs the extra `train`")
DOMAIN = load_parcel()
LAST_TURN = "<|im_start|>user\n{{ messages[-1]['content'] }}<|im_end|>\n<|im_start|>assistant\n"
"""Shows the model the last message only: enough for one that learns for seconds."""


def make_tasks(count: int) -> list[Task]:
    pair = write_plans(DOMAIN)[0]
    drafts = (synthesise(DOMAIN, pair, Order(3, number, split="test")) for number in range(count * 4))
    tasks = {task.id: task for draft in drafts if draft for task in [attach_checker(DOMAIN, draft)]}
    return list(tasks.values())[:count]


def demonstrate(tasks: list[Task]) -> list[tuple[str, str]]:
    """Return (what the agent read last, what the oracle answered) over whole dialogues."""
    from servers.small_model import write_text
    from veriloop.rollout.endpoint import write_messages
    from veriloop.rollout.player import View

    pairs = []
    agent = Oracle(DOMAIN, {task.id: task for task in tasks})
    for task in tasks:
        trace = play(Episode(DOMAIN, task, seed=1), {"agent": agent, "user": ScriptedUser()})
        seen = tuple(turn for turn in trace.turns if turn.seat == "agent" or turn.spoken)
        sent = write_messages(View("", "", "agent", "", (), seen, 0))
        pairs += [
            (write_text(before), write_text(after))
            for before, after in itertools.pairwise(sent[1:])
            if after["role"] == "assistant"
        ]
    return pairs


def train_model(pairs: list[tuple[str, str]], steps: int = 100) -> tuple[Any, Any]:
    """Return a small Llama and its tokenizer, trained to answer `pairs`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer, bare.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|im_end|>", "<|im_start|>"]
    texts = [text for pair in pairs for text in pair]
    bare.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=800, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, eos_token="<|im_end|>", bos_token="<|im_start|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=96, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=2048, eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.bos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rows = [
        tokenizer(f"<|im_start|>user\n{a[-300:]}<|im_end|>\n<|im_start|>assistant\n{b}<|im_end|>")["input_ids"][-256:]
        for a, b in pairs
    ]
    for step in range(steps):
        chosen = [rows[(step * 8 + offset) % len(rows)] for offset in range(8)]
        width = max(map(len, chosen))
        ids = torch.tensor([row + [tokenizer.eos_token_id] * (width - len(row)) for row in chosen])
        labels = torch.tensor([row + [-100] * (width - len(row)) for row in chosen])
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


def play_tasks(server: Any, tasks: list[Task], out: Path, turns: int, options: dict[str, Any]) -> dict[str, Any]:
    client = Client(Endpoint("local", server.base_url, timeout=300, width=2))
    players: dict[Any, Any] = {"agent": EndpointPlayer("local", options=options, client=client), "user": ScriptedUser()}
    config = EvalConfig(trials=1, width=4, limits=Limits(turns=turns))
    return evaluate_tasks(DOMAIN, tasks, players, config, score=judge, out=out)


def check_dialogues(result: dict[str, Any], tasks: list[Task], out: Path) -> None:
    assert (result["void"], result["checker_errors"], result["counted"]) == (0, 0, len(tasks))
    assert sum(result["stops"].values()) == len(tasks)
    lines = Record(out.with_suffix(".jsonl")).load()
    assert {place[0] for place in lines} == {task.id for task in tasks}
    for (task_id, trial), played in lines.items():
        assert played.trace.seed == derive_seed("eval", 0, task_id, trial)
        assert played.verdict
        assert played.verdict.outcome in (Outcome.PASS, Outcome.FAIL)
        assert played.verdict.reason
        agent = [turn for turn in played.trace.turns[1:] if turn.seat == "agent"]
        assert agent
        assert all(turn.usage and turn.usage.completion > 0 for turn in agent)


def test_twenty_dialogues_end_with_stop_reason_and_verdict(tmp_path: Path) -> None:
    from servers.small_model import ModelServer

    tasks = make_tasks(20)
    model, tokenizer = train_model(demonstrate(make_tasks(30)))
    with ModelServer(model, tokenizer, template=LAST_TURN, temperature=0.3) as server:
        result = play_tasks(server, tasks, tmp_path / "small.json", 12, {"max_tokens": 60})
    check_dialogues(result, tasks, tmp_path / "small.json")
    played = Record(tmp_path / "small.jsonl").load().values()
    assert any(turn.tool_calls for line in played for turn in line.trace.turns), "the model learned to call tools"
    assert {StopReason(stop) for stop in result["stops"]} - {StopReason.MALFORMED}, "and to say whole sentences"


@pytest.mark.skipif(
    not os.environ.get("VERILOOP_TEST_SMOLLM2"), reason="set VERILOOP_TEST_SMOLLM2=1; takes many minutes"
)
def test_twenty_dialogues_of_smollm2(tmp_path: Path) -> None:
    from servers.small_model import ModelServer, load_smollm2

    tasks = make_tasks(20)
    out = Path(os.environ.get("VERILOOP_TEST_OUT", str(tmp_path))) / "smollm2.json"
    with ModelServer(*load_smollm2()) as server:
        result = play_tasks(server, tasks, out, 10, {"max_tokens": 80})
    print(json.dumps({key: value for key, value in result.items() if key != "per_task"}, indent=2))
    check_dialogues(result, tasks, out)
