"""A judge says what it thinks of dialogues: that stands beside the verdicts, and nothing else of a run knows of it."""

import json
import re
from typing import Any

import pytest

from servers.roles import RoleServer
from veriloop.cli.main import run as run_command
from veriloop.core.errors import InputError
from veriloop.engine.role.model import RoleModel
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.estimate import estimate_run
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.report.page import write_report
from veriloop.rollout.experts import load_expert
from veriloop.store.artefact import read_tasks
from veriloop.store.export import Choice, export
from veriloop.store.run import open_run

SETTINGS: dict[str, Any] = {"n": 5, "seed": 3, "rounds": 0, "evolve": False}
CONDEMNED = {"success": False, "item": "clauses_kept", "at_fault": "task", "evidence": "<b>too curt</b>"}
LAX = 'def check(changes, calls, messages):\n    return {"passed": True, "reason": "fine"}\n'


def serve(parcel, answer: str) -> RoleServer:
    server = RoleServer(parcel, load_expert("parcel"))
    server.play_trajectory_verifier = lambda _: {"content": answer}  # pyright: ignore[reportAttributeAccessIssue]
    return server


def rows_of(out, parcel, to, keep="passed") -> list[dict[str, Any]]:
    with open_run(out) as run:
        path = export(run, parcel, to, out=out / "rows", choice=Choice(keep=keep)).path
    lines = (out / "rows" / "tau2_sft_train.jsonl" if to == "areal" else out / "rows").read_text().splitlines()
    assert path == str(out / "rows")
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    out = tmp_path_factory.mktemp("plain") / "run"
    return out, run_synthesis("parcel", out, SynthConfig(**SETTINGS))


@pytest.fixture(scope="module")
def judged(parcel, tmp_path_factory):
    """A run like it, beside which a judge condemns everything."""
    out = tmp_path_factory.mktemp("judged") / "run"
    with serve(parcel, json.dumps(CONDEMNED)) as server:
        model = RoleModel(model="m", base_url=server.base_url, prices=(1.0, 1.0))
        result = run_synthesis("parcel", out, SynthConfig(**SETTINGS, roles={"judge": model}))
        assert set(server.roles) == {"trajectory_verifier"}, "it reads the same prompt"
        assert server.asked == result.spent["judge"]["answers"]
    return out, result


def test_a_judge_who_condemns_everything_changes_nothing(plain, judged):
    assert judged[1].proved == plain[1].proved == SETTINGS["n"]
    assert judged[1].rejected == plain[1].rejected
    assert [task.id for task in read_tasks(judged[0])] == [task.id for task in read_tasks(plain[0])]
    found = []
    for out in (plain[0], judged[0]):
        with open_run(out) as run:
            assert not list(run.ledger.entries("failure:"))
            found.append([entry.payload for entry in run.ledger.entries("verdict:")])
    for without, beside in zip(*found, strict=True):
        opinion = {"success": False, "fault": "task", "evidence": "clauses_kept: <b>too curt</b>"}
        assert without["judge"] is None
        assert beside == without | {"judge": opinion}
        assert (beside["verdict"]["outcome"], beside["success"], beside["blame"]) == ("pass", True, None)


@pytest.mark.parametrize("keep", ["good", "passed"])
def test_rows_have_both_words_and_are_the_same_rows(plain, judged, parcel, keep):
    without, beside = rows_of(plain[0], parcel, "messages", keep), rows_of(judged[0], parcel, "messages", keep)
    assert {(row["verdict"], row["success"], row["opinion"], row["judge"]) for row in without} == {
        ("pass", True, None, None)
    }
    assert beside == [row | {"judge": False} for row in without]


def test_no_reward_knows_of_it(plain, judged, parcel, tmp_path):
    for out in (plain[0], judged[0]):
        (out / "rows").unlink(missing_ok=True)
    without, beside = rows_of(plain[0], parcel, "areal"), rows_of(judged[0], parcel, "areal")
    assert beside == without
    assert {row["metadata"]["reward"] for row in beside} == {1.0}


def test_the_report_shows_how_far_they_agree(plain, judged):
    assert "Opinions beside verdicts" not in write_report(plain[0]).read_text()
    text = write_report(judged[0]).read_text()
    row = re.search(r'<th scope="row">judge</th>(.*?)</tr>', text)
    assert row
    assert re.findall(r'"n">(.*?)<', row[1]) == ["5", "0", "5", "0", "0", "0.0 %", "0.000"]
    assert text.count("; the judge says fail: clauses_kept: &lt;b&gt;too curt") == 5
    for task in read_tasks(judged[0]):
        assert f"checkers/{task.id}.py" in text


def test_what_cannot_be_read_is_no_opinion(parcel, tmp_path):
    with serve(parcel, "Fine, I guess.") as server:
        model = RoleModel(model="m", base_url=server.base_url)
        run_synthesis("parcel", tmp_path / "run", SynthConfig(**{**SETTINGS, "n": 1}, roles={"judge": model}))
    with open_run(tmp_path / "run") as run:
        assert [entry.payload["judge"] for entry in run.ledger.entries("verdict:")] == [None]


def test_what_it_costs_is_told_beforehand(parcel):
    model = RoleModel(model="m", base_url="http://127.0.0.1:9/v1", prices=(1.0, 1.0))
    told = estimate_run("parcel", SynthConfig(**SETTINGS, roles={"judge": model}))
    assert told.roles["judge"].calls >= 5


class TestOwnCheckers:
    def test_who_has_no_model_as_synthesiser_has_none_that_writes_checkers(self, tmp_path, capsys):
        with pytest.raises(InputError, match="--checkers model needs a model as synthesiser"):
            run_synthesis("parcel", tmp_path / "run", SynthConfig(n=1, checkers="model"))
        assert run_command(["synth", "parcel", "-n", "1", "--checkers", "model", "--out", str(tmp_path / "run")]) == 2
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("checkers", ["compiled", "model"])
    def test_a_worthless_one_is_sent_back_with_its_counter_example(self, parcel, tmp_path, checkers):
        said = []
        good = RoleServer.play_synthesiser

        class Listening(RoleServer):
            def play_synthesiser(self, body: dict[str, Any]) -> dict[str, Any]:
                said.append(str(body["messages"][-1]["content"]))
                return good(self, body)

        with Listening(parcel, load_expert("parcel"), spoil=lambda made: made.update(checker=LAX)) as server:
            roles = {"synthesiser": RoleModel(model="m", base_url=server.base_url)}
            chosen = SynthConfig(**{**SETTINGS, "n": 3}, roles=roles, checkers=checkers)
            result = run_synthesis("parcel", tmp_path / "run", chosen)
        assert result.proved == 3
        assert not any(task.checker == LAX for task in read_tasks(tmp_path / "run"))
        found = "pass: fine; counter-example: the right calls" if checkers == "model" else "checker: Extra inputs"
        assert sum(found in text for text in said) >= 3
        with open_run(tmp_path / "run") as run:
            drafts = [entry.payload for entry in run.ledger.entries("drafts")]
        proofs = [made for draft in drafts for made in draft["rejections"] if made["stage"] == "proof"]
        assert len(proofs) == (3 if checkers == "model" else 0)
