"""How many threads torch uses in this process."""

import torch


def set_threads(count: int) -> None:
    """Let torch use `count` threads from now on."""
    torch.set_num_threads(count)


def count_threads() -> int:
    """Return how many threads torch uses."""
    return torch.get_num_threads()
