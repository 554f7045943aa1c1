"""Training in several processes, as `accelerate launch` or `torchrun` start them: who writes, waits, gets how much."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState

from veriloop.core.errors import InputError


def _state() -> PartialState:
    # Told nothing, it takes a machine without accelerators for a single process.
    return PartialState(cpu=not torch.cuda.is_available())


def share_batch(batch: int) -> int:
    """Return how many rows of a step are each process's; raises InputError where they cannot be shared out evenly."""
    processes = _state().num_processes
    if batch % processes:
        raise InputError(f"a batch of {batch} cannot be shared by {processes} processes; make it a multiple of that")
    return batch // processes


def is_first() -> bool:
    """Return whether this process is the one that writes files."""
    return _state().is_main_process


@contextmanager
def first_alone() -> Iterator[bool]:
    """Give True to the process that writes files; no other goes on before it has left the block.

    with first_alone() as first:
        if first:
            ...
    """
    try:
        yield is_first()
    finally:
        _state().wait_for_everyone()
