"""The frozen model base, content hashes and seeds derived from names."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue


class Frozen(BaseModel):
    """Base of everything that crosses a file or process: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def canonical_json(value: Any) -> str:
    """Return the one JSON spelling of `value`: sorted keys, no spaces, UTF-8 kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: JsonValue | dict[str, Any], length: int = 16) -> str:
    """Return the first `length` hex digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def derive_seed(*parts: str | int) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else (no global state)."""
    digest = hashlib.sha256(canonical_json(list(parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
