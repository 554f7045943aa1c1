"""What a process that trains or samples takes of the machine: threads and memory."""

import ctypes
import sys

import torch

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def set_threads(count: int) -> None:
    """Let torch use `count` threads from now on."""
    torch.set_num_threads(count)


def count_threads() -> int:
    """Return how many threads torch uses."""
    return torch.get_num_threads()


def keep_memory() -> None:
    """Keep freed memory for the next tensor instead of giving it back, where the C library can.

    The caches of a batch of dialogues are copied many times over. Fresh pages from the system for each copy took up
    to a fifth of the time of sampling and of training on a CPU.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if tune:
        tune(_MMAP_MAX, 0)
        tune(_TRIM_THRESHOLD, 2**31 - 1)
