"""What a run will use is told beforehand, without a request, and the run keeps to it."""

import json
from typing import Any

import pytest

from servers.roles import RoleServer
from veriloop.cli.main import run
from veriloop.core.errors import InputError
from veriloop.engine.plan import Workflow
from veriloop.engine.role.model import ROLES, RoleModel
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.estimate import estimate_run
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.rollout.experts import load_expert

NOWHERE = "http://127.0.0.1:9/v1"
WITHIN = 0.2
SEARCHED = 0.4
"""Under GEPA: which of its proposals do better on a slice, and so are tried on all of them, nobody can foretell."""


def config(base_url: str = NOWHERE, **changes: Any) -> SynthConfig:
    model = RoleModel(model="m", base_url=base_url, prices=(1.0, 4.0), width=8)
    options = {"n": 20, "seed": 5, "rounds": 0, "evolve": False, "roles": dict.fromkeys(ROLES, model), **changes}
    return SynthConfig(**options)


def near(found: float, told: float, within: float = WITHIN) -> bool:
    return abs(told - found) <= within * found


@pytest.mark.parametrize(
    "changes",
    [
        {"plans": 4},
        {"n": 8, "evolve": True, "rounds": 1, "pilot": 8, "search": "llm"},
        {"n": 8, "evolve": True, "rounds": 1, "pilot": 8, "search": "gepa"},
        {"n": 8, "trials": 2, "band": (0.0, 1.0)},
    ],
)
def test_the_run_uses_what_was_told(parcel, tmp_path, changes):
    with RoleServer(parcel, load_expert("parcel")) as server:
        chosen = config(server.base_url, **changes)
        if "trials" in changes:
            chosen = chosen.model_copy(update={"roles": {**chosen.roles, "solver": chosen.roles["agent"]}})
        told = estimate_run("parcel", chosen)
        assert server.asked == 0
        result = run_synthesis("parcel", tmp_path / "run", chosen)
    used = result.spent
    tokens = sum(role["prompt_tokens"] + role["completion_tokens"] for role in used.values())
    assert result.proved == chosen.n
    within = SEARCHED if changes.get("search") == "gepa" else WITHIN
    assert near(sum(role["answers"] for role in used.values()), told.calls, within), (used, told)
    assert near(tokens, told.tokens, within), (used, told)
    assert near(sum(role["dollars"] for role in used.values()), told.usd, within), (used, told)
    assert {role for role, use in told.roles.items() if use.calls} == set(used)


def test_every_role_is_told_of_by_itself(parcel):
    told = estimate_run("parcel", config())
    assert told.roles["planner"].calls == 2 and told.roles["reflector"].calls == 0
    assert told.calls == sum(role.calls for role in told.roles.values())
    assert told.tokens == sum(role.prompt_tokens + role.completion_tokens for role in told.roles.values())
    for role in told.roles.values():
        assert role.usd == pytest.approx((role.prompt_tokens + 4 * role.completion_tokens) / 1e6)


def test_only_models_are_told_of():
    some = config().model_copy(update={"roles": {"user": config().roles["user"]}})
    assert list(estimate_run("parcel", some, items=4).roles) == ["user"]
    assert estimate_run("parcel", config(roles={}), items=4).model_dump()["calls"] == 0


def test_more_of_anything_uses_more():
    least = estimate_run("parcel", config(), items=8)
    assert estimate_run("parcel", config(n=40), items=8).calls == pytest.approx(2 * least.calls, rel=0.1)
    piloted = estimate_run("parcel", config(evolve=True, rounds=2, pilot=10), items=8)
    assert 20 <= piloted.pilot_items <= 60 and piloted.calls > 1.5 * least.calls
    assert estimate_run("parcel", config(plans=6), items=8).roles["planner"].calls == 6
    solved = estimate_run("parcel", config(solver="expert", trials=3), items=8)
    assert solved.roles["user"].calls == pytest.approx(4 * least.roles["user"].calls, abs=2)


def test_tokens_are_as_long_as_one_says():
    short, long = (estimate_run("parcel", config(), items=4, chars_per_token=size) for size in (2.0, 4.0))
    assert short.tokens == pytest.approx(2 * long.tokens, rel=0.01) and short.calls == long.calls


def test_a_domain_of_which_nothing_can_be_proved(monkeypatch):
    monkeypatch.setattr("veriloop.pipeline.estimate.Workflow", lambda: Workflow(attempts=0))
    with pytest.raises(InputError, match="none of 4 rehearsed items"):
        estimate_run("parcel", config(), items=4)


class TestCommand:
    def call(self, capsys, *flags: str) -> tuple[int, str]:
        model = ["--roles", "llm", "--model", "m", "--base-url", NOWHERE, "--usd-per-mtok", "1", "4"]
        code = run(["estimate", "parcel", "-n", "10", "--rounds", "0", "--no-evolve", *model, *flags])
        found = capsys.readouterr()
        return code, found.out + found.err

    def test_one_object_of_what_it_will_be(self, capsys):
        code, said = self.call(capsys, "--json")
        found = json.loads(said)
        assert code == 0 and {"calls", "tokens", "usd", "items", "pilot_items", "roles"} == set(found)
        assert found["usd"] > 0

    def test_a_table_for_people(self, capsys):
        code, said = self.call(capsys)
        assert code == 0 and said.startswith("role") and "about " in said.splitlines()[-1]

    def test_more_than_one_wants_to_pay_is_a_gate(self, capsys):
        assert self.call(capsys, "--max-usd", "0.0001")[0] == 1
        assert self.call(capsys, "--max-usd", "1000")[0] == 0

    def test_scripts_cost_nothing(self, capsys):
        assert run(["estimate", "parcel", "-n", "5"]) == 0
        assert "nothing is asked" in capsys.readouterr().out

    def test_bad_input(self, capsys):
        assert run(["estimate", "parcle", "-n", "5"]) == 2
        assert run(["estimate", "parcel", "-n", "5", "--roles", "llm"]) == 2
        assert "parcel" in capsys.readouterr().err
