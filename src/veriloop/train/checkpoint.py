"""Where a training run that was killed goes on."""

import shutil
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint


def find_checkpoint(out: Path, last_file: str = "trainer_state.json") -> str | None:
    """Return the newest complete checkpoint of a folder, None when there is none.

    last_file: what is written last; a checkpoint without it was cut off by the kill and is removed.
    """
    if not out.exists():
        return None
    for checkpoint in out.glob("checkpoint-*"):
        if not (checkpoint / last_file).exists():
            shutil.rmtree(checkpoint)
    return get_last_checkpoint(str(out))
