"""A small byte-level BPE tokenizer trained on a run's own dialogues."""

from collections.abc import Iterable
from typing import Any

from veriloop.local.chat import NANO_TEMPLATE
from veriloop.local.codec import alias_tokens

END = "<|end|>"
PAD = "<|pad|>"
CONTROL = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|call|>")
# A piece is a word with the punctuation that hangs on it, so that a JSON field takes two tokens; digits stand alone.
_PIECE = r" ?[^\s\d]+|\d|\s"
# So that more of what tools return is one token each: fields of JSON and lines with a word as their value, numbers.
_JOINED = (
    r'[{\[ ]*"\w+": (?:null|true|false|"[A-Za-z_ ]*")[,}\]]*|[{\[ ]*"\w+": "?'
    r"|[A-Z][A-Za-z -]*: \w+\n| [^\x00-\x7f]+ [A-Z][A-Za-z ]* \|| ?[^\s\d]+|\d{1,4}|\s"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1300, *, joined: bool = False) -> Any:
    """Return a transformers tokenizer of about `vocabulary` tokens; control tokens and aliases are never split.

    joined: pieces are longer, and digits do not stand alone.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = [*CONTROL, *alias_tokens()]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_JOINED if joined else _PIECE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PAD)
    tokenizer.chat_template = NANO_TEMPLATE
    return tokenizer
