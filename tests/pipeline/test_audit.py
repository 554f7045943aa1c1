"""An audit from end to end: planted faults are found at their rows and nowhere else, and the cleaned copy is sound."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lookalike.clean import make_clean
from lookalike.plant import FOREIGN_TASKS, OWN_TASKS, TURNS, Truth, plant
from veriloop.cli.main import run as run_command
from veriloop.domains.registry import BUILT_IN, load_domain
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.audit import Names, Outcome, Settings, audit_data
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.areal import RL_FILE, SFT_FILE
from veriloop.store.areal_read import TurnRow, read_areal
from veriloop.store.audit.result import Gate, is_gated
from veriloop.store.export import Format, export
from veriloop.store.fault import MENDS, Fault, Finding, Mend, Severity
from veriloop.store.run import open_run

EACH = 3
FILE_WIDE = {Fault.BAD_FILE, Fault.TURN_ROWS, Fault.NOT_REPLAYABLE}
"""Not planted in rows: two are told of a file in words, one has tests of its own."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tau2")
    folder = tmp_path_factory.mktemp("sound") / "rows"
    make_clean(folder, {"parcel": 52, "tau2/retail": 52})
    shutil.rmtree(folder / ".parts")
    return folder


@pytest.fixture(scope="module")
def spoilt(sound: Path) -> tuple[Path, Truth, Outcome]:
    """A folder with faults, where they are, and what an audit made of it and of its cleaned copy."""
    folder = Path(shutil.copytree(sound, sound.with_name("spoilt")))
    truth = plant(folder, EACH, seed=1)
    return folder, truth, audit_data(folder, Settings(fix=folder.with_name("fixed")))


def test_sound_rows_have_no_finding(sound: Path):
    found = audit_data(sound, Settings(gate="note"))
    assert found.audit.findings == {} and found.ok
    assert {(facts.file, facts.replayed, facts.dialogues) for facts in found.audit.files} == {
        (RL_FILE, 104, 0), (SFT_FILE, 0, 104)
    }  # fmt: skip


def test_every_planted_fault_is_found_at_its_row(spoilt: tuple[Path, Truth, Outcome]):
    _, truth, found = spoilt
    assert set(truth) == {*TURNS, *FOREIGN_TASKS, *OWN_TASKS, Fault.LEAKAGE} == set(Fault) - FILE_WIDE
    for fault, places in truth.items():
        assert len(places) == EACH
        assert {f"{file}:{row}" for file, row in places} <= set(found.audit.findings[fault].places), fault


def test_no_row_is_named_in_which_nothing_was_planted(spoilt: tuple[Path, Truth, Outcome]):
    _, truth, found = spoilt
    planted = {f"{file}:{row}" for places in truth.values() for file, row in places}
    assert {place for kind in found.audit.findings.values() for place in kind.places} == planted
    # What a turn is changed in, it is no longer the part of its dialogue that it was; else a fault stands alone.
    for fault, kind in found.audit.findings.items():
        own = {f"{file}:{row}" for file, row in truth[fault]}
        assert fault is Fault.BROKEN_DIALOGUE or set(kind.places) == own, fault


def test_the_cleaned_copy_passes_and_the_input_is_as_it_was(spoilt: tuple[Path, Truth, Outcome], sound: Path):
    folder, truth, found = spoilt
    assert not found.ok
    assert found.after and found.after.passes("error") and found.cleaned
    assert not any(kind.severity is Severity.ERROR for kind in found.after.findings.values())
    assert found.cleaned.kept == found.after.rows
    mended = {fault for fault in truth if MENDS[fault] is Mend.MENDED}
    assert found.cleaned.mended == EACH * len(mended)
    assert found.cleaned.kept + found.cleaned.dropped == found.audit.rows
    again = audit_data(folder, Settings())
    assert again.audit.findings == found.audit.findings
    listed = [json.loads(line) for line in Path(found.cleaned.changes).read_text().splitlines()]
    assert len({(c["file"], c["row"]) for c in listed}) == found.cleaned.mended + found.cleaned.dropped
    untouched = (sound / SFT_FILE).read_bytes().splitlines()
    kept = set((Path(found.cleaned.path) / SFT_FILE).read_bytes().splitlines())
    assert len(kept & set(untouched)) >= len(untouched) - EACH * len(truth)


def test_the_cleaned_copy_is_read_by_trainers_and_by_us(spoilt: tuple[Path, Truth, Outcome], tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    _, _, found = spoilt
    assert found.cleaned
    file = Path(found.cleaned.path) / SFT_FILE
    loaded = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    rows = list(read_areal(file))
    turns = [row for row in rows if isinstance(row, TurnRow)]
    assert len(loaded) == len(turns) == sum(1 for _ in file.open())
    lost = {row.fault for row in rows if isinstance(row, Finding)}
    assert lost <= {Fault.TURN_ROWS, Fault.NOT_REPLAYABLE, Fault.NO_ID, Fault.DISAGREEMENT}
    for message in (message for row in loaded for message in row["messages"]):
        for call in message.get("tool_calls") or ():
            assert None not in json.loads(call["function"]["arguments"]).values()


@pytest.mark.parametrize("gate", ["never", "error", "warning", "note"])
def test_rows_are_left_out_as_the_table_of_faults_says(spoilt: tuple[Path, Truth, Outcome], gate: Gate):
    folder, truth, found = spoilt
    done = audit_data(folder, Settings(gate=gate, fix=folder.with_name(f"fixed-{gate}")))
    assert done.cleaned and done.after and done.after.passes(gate)
    listed = [json.loads(line) for line in Path(done.cleaned.changes).read_text().splitlines()]
    dropped = {(c["file"], c["row"]) for c in listed if c["action"] == "dropped"}
    mended = {(c["file"], c["row"]) for c in listed if c["action"] == "mended"}
    assert (done.cleaned.dropped, done.cleaned.mended) == (len(dropped), len(mended))
    # A turn that was changed in what it says is no longer the part of its dialogue that it was.
    broken = set(found.audit.findings[Fault.BROKEN_DIALOGUE].places)
    out = {
        fault
        for fault in truth
        if MENDS[fault] is Mend.DROPPED or (MENDS[fault] is Mend.GATED and is_gated(fault, gate))
    }
    for fault, places in truth.items():
        for place in places:
            also = f"{place[0]}:{place[1]}" in broken and Fault.BROKEN_DIALOGUE in out
            assert (place in dropped) is (fault in out or also), (fault, place)
            assert (place in mended) is (MENDS[fault] is Mend.MENDED and not also), (fault, place)


@pytest.mark.parametrize("name", BUILT_IN)
def test_own_runs_have_no_finding_in_any_form(name: str, tmp_path: Path):
    if name != "parcel":
        pytest.importorskip("tau2")
    run_synthesis(name, tmp_path / "run", SynthConfig(n=6, seed=17, rounds=0, evolve=False))
    formats: tuple[Format, ...] = ("messages", "turns", "areal", "tau2")
    with open_run(tmp_path / "run") as run:
        for to in formats:
            export(run, load_domain(name), to)
            if to != "tau2":
                export(run, load_domain(name), to, seat="user")
    found = audit_data(tmp_path / "run", Settings(gate="note"))
    assert found.audit.findings == {}
    by_form = {form: facts for facts in found.audit.files for form in facts.forms}
    assert set(by_form) == {"messages", "turns", "areal turns", "areal tasks", "tau2 tasks", "tasks"}
    assert by_form["areal tasks"].replayed == 6
    tasks = by_form["tasks"]
    assert (tasks.file, tasks.rows, tasks.replayed, tasks.domains) == ("tasks/*.json", 6, 6, {name: 6})
    assert by_form["tau2 tasks"].replayed == (0 if name == "parcel" else 6), "parcel's tasks of tau2 name no database"


def test_results_of_the_packages_own_orchestrator(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tau2")
    run_synthesis("tau2/retail", tmp_path / "run", SynthConfig(n=2, seed=9, rounds=0, evolve=False))
    asked = ["--agent", "expert", "--official", "--trials", "1", "--out", str(tmp_path / "official.json")]
    assert run_command(["eval", "tau2/retail", "--tasks", str(tmp_path / "run"), *asked]) == 0
    path = tmp_path / "official.tau2.json"
    found = audit_data(path, Settings(gate="note", fix=tmp_path / "copy.json"))
    assert found.audit.findings == {}
    [facts] = found.audit.files
    assert (facts.forms, facts.replayed) == ({"tau2 tasks": 2, "tau2 simulations": 2}, 2)
    results = json.loads(path.read_text())
    assert json.loads((tmp_path / "copy.json").read_text()) == results
    del results["simulations"][1]["messages"][-1]
    results["simulations"][0]["reward_info"]["reward"] = 0.0
    results["tasks"][1]["evaluation_criteria"]["actions"][-1]["name"] = "no_such_tool"
    path.write_text(json.dumps(results))
    spoilt = audit_data(path, Settings()).audit.findings
    assert {fault: kind.rows for fault, kind in spoilt.items()} == {Fault.BAD_GOLD: [2], Fault.DISAGREEMENT: [3]}


def areal(run: Path, out: Path) -> list[dict[str, Any]]:
    with open_run(run) as opened:
        export(opened, load_domain("parcel"), "areal", out=out)
    return [json.loads(line) for line in (out / RL_FILE).read_text().splitlines()]


def test_rows_of_ours_replay_on_the_file_that_they_name(small_run: Path, tmp_path: Path):
    [row, *_] = areal(small_run, tmp_path)
    database = tmp_path / row["db_path"]
    content = json.loads(database.read_text())
    database.write_text(json.dumps({**content, "parcels": {}, "customers": {}}))
    found = audit_data(tmp_path / RL_FILE, Settings())
    assert 1 in found.audit.findings[Fault.BAD_GOLD].rows


def test_rows_never_have_a_file_executed(tmp_path: Path):
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    row = {"domain": str(trap), "messages": [{"role": "assistant", "content": "Hi."}]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    found = audit_data(tmp_path / "rows.jsonl", Settings())
    assert found.audit.unknown == [str(trap)]
    assert not (tmp_path / "sprung").exists()


def test_names_of_domains(parcel):
    names = Names(parcel)
    assert names.resolve("") is parcel and names.resolve("parcel") is parcel
    assert names.resolve("shop") is None and names.unknown == ["shop"]
    pytest.importorskip("tau2")
    retail = names.resolve("retail")
    assert retail and retail is names.resolve("tau2/retail")


def test_whoever_waits_is_told_what_is_being_done(sound: Path, tmp_path: Path):
    told = list[tuple[int, int, str]]()
    audit_data(sound, Settings(fix=tmp_path / "copy"), lambda done, total, what="": told.append((done, total, what)))
    assert list(dict.fromkeys(what for _, _, what in told)) == ["", "copying", "checking the copy"]
    assert all(0 < done <= total for done, total, _ in told)


_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}{{ call | tojson }}{% endfor %}<|end|>{% endfor %}"
)


def test_the_cleaned_copy_trains(spoilt: tuple[Path, Truth, Outcome], tmp_path: Path):
    """TRL's trainer takes the turns as they are, and a model from scratch gets better at them."""
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from veriloop.local.nano import make_nano

    file = str(spoilt[0].with_name("fixed") / SFT_FILE)
    rows = datasets.load_dataset("json", data_files=file, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) > 300
    turns = rows.map(
        lambda row: {"messages": [*row["messages"][-4:], row["answer"]]}, remove_columns=rows.column_names
    ).select(range(200))
    words = Tokenizer(models.BPE(unk_token="<|pad|>"))
    words.pre_tokenizer = pre_tokenizers.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    special = ["<|pad|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)  # pyright: ignore[reportCallIssue]
    words.train_from_iterator((json.dumps(turn) for turn in turns), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<|pad|>", eos_token="<|end|>")
    tokenizer.chat_template = _TEMPLATE
    config = trl.SFTConfig(
        output_dir=str(tmp_path / "sft"), max_steps=12, per_device_train_batch_size=8, learning_rate=3e-3,
        max_length=256, logging_steps=1, report_to=[], use_cpu=True, bf16=False, save_strategy="no",
        dataloader_pin_memory=False,
    )  # fmt: skip
    model = make_nano(tokenizer, "pico")
    learner = trl.SFTTrainer(model=model, args=config, train_dataset=turns, processing_class=tokenizer)
    learner.train()
    losses = [entry["loss"] for entry in learner.state.log_history if "loss" in entry]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 0.5
