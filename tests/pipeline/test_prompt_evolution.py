"""Prompts that evolve: a simulation with a server that listens. Which faults it has, the engine does not know.

VERILOOP_SEEDS=5 runs more seeds than the suite has time for.
"""

import os
from pathlib import Path

import pytest

from servers.listening import ListeningServer
from veriloop.engine.role.model import RoleModel
from veriloop.engine.synthesize import SynthConfig, SynthResult
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.rollout.experts import load_expert
from veriloop.store.run import open_run

SEEDS = range(int(os.environ.get("VERILOOP_SEEDS", "1")))
DATABASES, PILOT, ROUNDS = 6, 20, 4


def evolve(parcel, out: Path, seed: int, *, edits: bool) -> tuple[SynthResult, ListeningServer]:
    with ListeningServer(parcel, load_expert("parcel"), seed, edits=edits, databases=DATABASES) as server:
        model = RoleModel(model="m", base_url=server.base_url)
        config = SynthConfig(
            n=4, seed=seed, rounds=ROUNDS, pilot=PILOT, search="llm", databases=DATABASES,
            roles={"synthesiser": model, "user": model, "reflector": model},
        )  # fmt: skip
        return run_synthesis("parcel", out, config), server


def measure(result: SynthResult) -> tuple[float, float]:
    """Return the fitness on orders that no proposal saw, of the first prompts and of the last ones in force."""
    held = [found.fitness_held_out for found in result.rounds if found.fitness_held_out is not None]
    return held[0], held[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_advice_lowers_what_a_listening_model_gets_wrong(parcel, tmp_path, seed):
    result, server = evolve(parcel, tmp_path / "run", seed, edits=True)
    first, last = measure(result)
    print(f"seed {seed}: {[fault.name for fault in server.faults]}: {first} -> {last}")
    accepted = [found for found in result.rounds[1:] if found.accepted]
    assert accepted and last > first + 0.1
    taught = " ".join(reason for found in accepted for reason in found.changes)
    assert all(fault.advice in taught for fault in server.faults), "each fault was spoken to, and the gate let it in"
    with open_run(tmp_path / "run") as run:
        assert set(run.ledger.get_meta("plans")["workflow"]["advice"]) == {fault.role for fault in server.faults}


@pytest.mark.parametrize("seed", SEEDS)
def test_without_edits_nothing_changes(parcel, tmp_path, seed):
    result, server = evolve(parcel, tmp_path / "run", seed, edits=False)
    first, last = measure(result)
    print(f"seed {seed}, no edits: {first} -> {last}")
    assert first == last
    assert not any(found.accepted for found in result.rounds[1:])
    assert any(server.shown.values()), "one fault may hide the other"
