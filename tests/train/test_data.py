import json
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import Sampled, Seat, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import system_text, visible_turns
from veriloop.local.codec import AliasCodec
from veriloop.local.model import LoadedModel, ModelSettings
from veriloop.train.data import Dialogue, make_rows, prepare_model, strip_sample, view_system, write_result

LONG = 100_000


def own_texts(loaded: LoadedModel, dialogue: Dialogue, seat: Seat, system: str) -> list[str]:
    """What the seat's turns should train on, written out by hand from the dialogue."""
    codec = AliasCodec()
    codec.encode(system)
    texts = []
    for number, turn in enumerate(visible_turns(dialogue.trace.turns, seat)):
        calls = "".join(f"<|call|>{call.name} {codec.encode(json.dumps(call.arguments))}" for call in turn.tool_calls)
        text = calls or codec.encode(turn.content)
        for result in turn.results:
            codec.encode(result.content)
        if turn.seat == seat and not (seat == "agent" and number == 0):
            texts.append(f"{text}<|end|>")
    return texts


def runs_of_labels(labels: list[int]) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for label in labels:
        if label != -100:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


@pytest.mark.parametrize("seat", ["agent", "user"])
def test_labels_are_the_seats_own_words_and_nothing_else(parcel: Domain, dialogues: list[Dialogue], seat: Seat):
    loaded = prepare_model("pico", parcel, seat, dialogues, 0)
    rows = make_rows(loaded, parcel, seat, dialogues, length=LONG)
    assert len(rows.rows) == len(dialogues) >= 4 and rows.dropped == 0
    assert rows.tokens == sum(len(row.input_ids) for row in rows.rows)
    assert rows.own_tokens == sum(len(run) for row in rows.rows for run in runs_of_labels(row.labels)) > 0
    for row, dialogue in zip(rows.rows, dialogues, strict=True):
        system = view_system(loaded.settings, parcel, dialogue.task, seat)
        assert len(row.input_ids) == len(row.labels)
        assert all(label in (-100, token) for token, label in zip(row.input_ids, row.labels, strict=True))
        found = [loaded.tokenizer.decode(run) for run in runs_of_labels(row.labels)]
        assert found == own_texts(loaded, dialogue, seat, system)


def test_rows_over_the_limit_are_dropped_whole_and_counted(
    parcel: Domain, dialogues: list[Dialogue], agent: LoadedModel
):
    every = make_rows(agent, parcel, "agent", dialogues, length=LONG).rows
    limit = sorted(len(row.input_ids) for row in every)[len(every) // 2]
    rows = make_rows(agent, parcel, "agent", dialogues, length=limit)
    assert rows.rows == [row for row in every if len(row.input_ids) <= limit]
    assert rows.dropped == len(every) - len(rows.rows) > 0


def with_samples(dialogue: Dialogue) -> Dialogue:
    sample = Sampled(token_ids=(7, 7, 7), logprobs=(0.0, 0.0, 0.0))
    turns = tuple(turn.model_copy(update={"sampled": sample}) for turn in dialogue.trace.turns)
    return Dialogue(dialogue.task, dialogue.trace.model_copy(update={"turns": turns}))


def test_ids_that_another_model_sampled_are_not_trained_on(
    parcel: Domain, dialogues: list[Dialogue], agent: LoadedModel
):
    foreign = [with_samples(dialogue) for dialogue in dialogues]
    plain = make_rows(agent, parcel, "agent", dialogues, length=LONG)
    assert make_rows(agent, parcel, "agent", foreign, length=LONG) == plain


def test_stripping_changes_nothing_but_the_sample():
    turn = Turn(seat="agent", content="a", sampled=Sampled(token_ids=(1,), logprobs=(0.0,)))
    assert strip_sample(turn) == Turn(seat="agent", content="a")


@pytest.mark.parametrize(("seat", "word"), [("agent", "find_customer"), ("user", "###STOP###")])
def test_the_tokenizer_is_learnt_from_the_runs_own_texts(
    parcel: Domain, dialogues: list[Dialogue], seat: Seat, word: str
):
    tokenizer = prepare_model("pico", parcel, seat, dialogues, 0).tokenizer
    assert {token.lstrip("Ġ") for token in tokenizer.get_vocab()} >= {word}
    other = prepare_model("pico", parcel, seat, dialogues[:1], 0).tokenizer
    assert other.get_vocab() != tokenizer.get_vocab()


def test_a_fresh_model_depends_on_its_seed_alone(parcel: Domain, dialogues: list[Dialogue]):
    first, same, other = (prepare_model("pico", parcel, "agent", dialogues, seed) for seed in (3, 3, 4))
    assert first.settings == ModelSettings(seat="agent", aliases=True, policy="none")
    weights = [dict(loaded.model.named_parameters())["model.embed_tokens.weight"] for loaded in (first, same, other)]
    assert weights[0].equal(weights[1]) and not weights[0].equal(weights[2])


def test_a_folder_is_loaded_as_it_is(
    parcel: Domain, dialogues: list[Dialogue], agent: LoadedModel, agent_folder: Path, tmp_path: Path
):
    loaded = prepare_model(agent_folder, parcel, "agent", dialogues[:1], 9)
    assert loaded.settings == agent.settings
    assert loaded.tokenizer.get_vocab() == agent.tokenizer.get_vocab()
    assert all(loaded.model.state_dict()[name].equal(value) for name, value in agent.model.state_dict().items())
    with pytest.raises(InputError, match=r"config\.json"):
        prepare_model(tmp_path, parcel, "agent", dialogues, 0)


def test_system_text_follows_the_models_settings(parcel: Domain, dialogues: list[Dialogue]):
    task = dialogues[0].task
    ticket = task.model_copy(update={"initial": task.initial.model_copy(update={"ticket": "Locker L1 jams"})})
    short, full = ModelSettings(policy="none"), ModelSettings(policy="full")
    assert view_system(short, parcel, ticket, "agent") == ""
    assert view_system(full, parcel, ticket, "agent") == system_text(parcel, ticket, "agent")
    assert parcel.policy in view_system(full, parcel, ticket, "agent")
    assert view_system(short, parcel, ticket, "user") == system_text(parcel, ticket, "user")


def test_results_are_sorted_json_with_a_newline(tmp_path: Path):
    write_result(tmp_path, {"b": 1, "a": None})
    assert (tmp_path / "result.json").read_text() == '{\n  "a": null,\n  "b": 1\n}\n'
