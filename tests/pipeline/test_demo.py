"""The whole chain with real, very short training."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from veriloop.pipeline.demo import AGENTS, DemoConfig, run_demo
from veriloop.pipeline.training import RlConfig, SftConfig
from veriloop.report.page import write_report
from veriloop.store.manifest import find_differences
from veriloop.store.result import read_curves, read_results

SHORT = SftConfig(steps=3, batch=4, eval_every=3)
TINY = DemoConfig(
    tasks=24,
    held_out=2,
    trials=1,
    user=SHORT,
    sft=SHORT,
    rl=RlConfig(steps=1, groups=1, size=2, cap=1, validate_every=0, turns=6),
)


def test_chain_and_resume(tmp_path: Path):
    out, steps = tmp_path / "run", []
    result = run_demo(out, TINY, report=steps.append)
    assert result["proved"] == 24 and 0.9 <= result["mutation_score"] <= 1
    assert list(result["pass_hat"]) == list(AGENTS) == ["noop", "random", "sft", "rl"]
    assert all(set(found) == {"1"} for found in result["pass_hat"].values())
    assert result["pass_hat"]["noop"] == {"1": 0.0}
    assert json.loads(json.dumps(result)) == result, "what --json prints"
    assert result["rounds"][0]["round"] == 0
    assert set(read_results(out)) == {"user", "sft", "rl"}
    assert read_curves(out)["sft"][0]["phase"] == "sft"
    assert find_differences(out) == []
    assert "SFT" in write_report(out).read_text() or "sft" in write_report(out).read_text()

    trained = {path: path.stat().st_mtime_ns for path in (out / "models").rglob("*.safetensors")}
    again = run_demo(out, TINY, resume=True)
    assert {path: path.stat().st_mtime_ns for path in (out / "models").rglob("*.safetensors")} == trained
    assert again["pass_hat"] == result["pass_hat"]
    assert again["seconds"] >= result["seconds"]
    assert steps[0] == "proving tasks" and steps[-1] == "measuring rl"
