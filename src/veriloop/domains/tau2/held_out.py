"""What the official tasks of tau2-bench are about, as digests that `evaluate/official_held_out.py` writes.

All tasks of the package count: every split of airline and retail, and the 2,285 tasks of telecom. Of telecom's
combinations that the defects of `telecom_fault.py` can make up to five at a time, 3,161 of 4,028 are not among them.
"""

import functools
from pathlib import Path

from pydantic import TypeAdapter

from veriloop.domains.held_out import HeldOut

FILE = Path(__file__).with_name("held_out.json")


def load_held_out(domain: str) -> HeldOut:
    """Return the digests of one domain of the package, such as `tau2/retail`; the file is read on first use."""
    return _load()[domain]


@functools.lru_cache(maxsize=1)
def _load() -> dict[str, HeldOut]:
    return TypeAdapter(dict[str, HeldOut]).validate_json(FILE.read_bytes())
