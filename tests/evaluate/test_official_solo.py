"""An agent that works alone at the package's telecom, in its own orchestrator with its own solo mode."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tau2.agent.llm_agent import LLMSoloAgent

from veriloop.core.errors import InputError
from veriloop.core.message import Message, ToolCall
from veriloop.core.trace import StopReason
from veriloop.domains.perspective import DONE, STOP, is_alone
from veriloop.domains.registry import load_domain
from veriloop.evaluate.official import OfficialConfig, OfficialTask, official_tasks, run_official
from veriloop.evaluate.record import Played, Record
from veriloop.rollout.baseline import Noop, Transfer
from veriloop.rollout.experts import load_expert
from veriloop.rollout.player import Player, View

TELECOM: Any = load_domain("tau2/telecom")
TASKS = official_tasks(TELECOM)


class Script:
    """Makes the calls of a list, then says a word; keeps what it saw."""

    name = "script"

    def __init__(self, *names: str) -> None:
        self.names, self.views = names, list[View]()

    def reply(self, views: Sequence[View]) -> list[Message]:
        self.views += views
        return [self._make(len(view.turns) - 1) for view in views]

    def _make(self, place: int) -> Message:
        if place >= len(self.names):
            return Message(content="I am through.")
        return Message(tool_calls=(ToolCall(id=f"call_{place}", name=self.names[place], arguments={}),))


def work(
    agent: Player, out: Path, tasks: Sequence[OfficialTask], **options: Any
) -> tuple[dict[str, Any], list[Played]]:
    config = OfficialConfig(solo=True, **{"threads": 2, **options})
    result = run_official(TELECOM, tasks, {"agent": agent}, config, out=out)
    return result, list(Record(out.with_suffix(".jsonl")).load().values())


def test_the_expert_solves_every_official_task(tmp_path: Path) -> None:
    """Where data is used up and the ticket names no amount (30 tasks), it adds as much as the policy allows."""
    result, played = work(load_expert(TELECOM.name), tmp_path / "expert.json", TASKS)
    assert (len(TASKS), result["passed"]) == (114, 114)
    assert [one.trace.error for one in played if one.trace.error] == []  # our session answers as the package does
    assert sum(len(one.trace.turns) for one in played) / len(played) < 22
    assert (result["user"], result["user_model"], result["solo"]) == ("nobody", "nobody", True)


def test_it_holds_the_tools_of_both_seats_and_its_policy_with_the_ticket(tmp_path: Path) -> None:
    agent = Script("check_status_bar")
    _, (played,) = work(agent, tmp_path / "x.json", TASKS[:1])
    names = {tool.name for tool in agent.views[0].tools}
    assert {*TELECOM.tools, DONE.name} == names
    assert agent.views[0].system == TELECOM.policy_alone != TELECOM.policy
    assert [turn.content for turn in agent.views[0].turns] == [f"Ticket: {TASKS[0].official.ticket}"]
    assert is_alone(played.trace.turns) and is_alone(agent.views[1].turns)
    assert [turn.seat for turn in played.trace.turns] == ["user", "user", "agent"]  # whose tools they are
    assert [turn.seat for turn in agent.views[1].turns] == ["user", "agent"]  # who made the calls
    assert "Status Bar" in played.trace.turns[1].results[0].content
    assert played.trace.error is None


@pytest.mark.parametrize("end", [(), ("done",)])
def test_done_and_plain_text_end_the_work(end: tuple[str, ...], tmp_path: Path) -> None:
    _, (played,) = work(Script("check_status_bar", *end), tmp_path / "x.json", TASKS[:1])
    assert [len(turn.tool_calls) for turn in played.trace.turns] == [0, 1, 0]
    assert played.trace.stop is StopReason.AGENT_STOP


def test_calls_that_do_not_exist_are_answered_and_cut_at_the_limit(tmp_path: Path) -> None:
    _, (played,) = work(Script(*["no_such_tool"] * 20), tmp_path / "x.json", TASKS[:1], max_errors=3)
    assert played.trace.stop is StopReason.MAX_ERRORS
    assert all(result.error for turn in played.trace.turns[1:] for result in turn.results)


def test_the_end_is_spelled_as_the_package_has_it() -> None:
    assert (DONE.name, STOP) == (LLMSoloAgent.STOP_FUNCTION_NAME, LLMSoloAgent.STOP_TOKEN)


def test_who_knows_nothing(tmp_path: Path) -> None:
    assert work(Noop(), tmp_path / "noop.json", TASKS[:20])[0]["passed"] == 0
    result, _ = work(Transfer(), tmp_path / "transfer.json", TASKS)
    assert 0 < result["pass_hat"]["1"] < 0.25


def test_tasks_without_a_ticket_are_not_for_one_alone(tmp_path: Path) -> None:
    retail = load_domain("tau2/retail")
    tasks = official_tasks(retail, "test")[:2]
    with pytest.raises(InputError, match="has no ticket for an agent that works alone"):
        run_official(retail, tasks, {"agent": Noop()}, OfficialConfig(solo=True), out=tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def test_a_record_of_dialogues_is_not_taken_for_one_of_work_alone(tmp_path: Path) -> None:
    work(Noop(), tmp_path / "x.json", TASKS[:1])
    with pytest.raises(InputError, match="other solo"):
        run_official(TELECOM, TASKS[:1], {"agent": Noop()}, OfficialConfig(), out=tmp_path / "x.json")
