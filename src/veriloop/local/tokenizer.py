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


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1300) -> Any:
    """Return a transformers tokenizer of about `vocabulary` tokens; control tokens and aliases are never split."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = [*CONTROL, *alias_tokens()]
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECE), behavior="isolated"),
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
